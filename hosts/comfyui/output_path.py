"""Where files may be written: below the host's output folder, links followed, under names that every system takes."""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import folder_paths

LONGEST = 200
"""Bytes of a prefix; file systems end at 255 for one name, and a number and a suffix follow."""
DATE = re.compile(r"%date:([^%]*)%")
PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
"""What the host's page knows of a date."""
WIDGET = re.compile(r"%[^%/\\.]+\.[^%/\\.]+%")
NOT_IN_NAMES = '<>:"|?*'
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for itself."""


@dataclass(frozen=True)
class OutputPath:
    folder: Path
    name: str
    """What files and folders there begin with."""
    subfolder: str
    """The folder as the host's /view names it, below output."""


def output_place(filename_prefix: str) -> OutputPath:
    """The folder of a prefix such as `zoetrope/shot`, made where it is missing; `%year%` means what it means in the host.

    `%date:yyyy-MM-dd%` is today, as the host's page writes it. Raises ValueError where it leads outside the output folder, also
    through links, where it is no name, and where it holds what no Windows folder takes or what only the page can fill in.
    """

    def refuse(got: str) -> ValueError:
        expected = "a folder and a name below ComfyUI's output folder, such as zoetrope/shot"
        return ValueError(f"filename_prefix: expected {expected}, got {filename_prefix[:60]!r}: {got}")

    prefix = with_date(filename_prefix, time.localtime()).replace("\\", "/")
    if why := _not_a_name(prefix):
        raise refuse(why)
    output = Path(folder_paths.get_output_directory())
    leads_out = "outside the output folder, by itself or through a link; --output-directory of ComfyUI sets another one"
    if not (output / os.path.dirname(os.path.normpath(prefix))).resolve().is_relative_to(output.resolve()):
        raise refuse(leads_out)
    try:
        folder, name, _, subfolder, _ = folder_paths.get_save_image_path(prefix, str(output))
        inside = Path(folder).resolve().is_relative_to(output.resolve())
    except OSError as error:
        said = f"filename_prefix: the folder of {filename_prefix[:60]!r} could not be made below {output}: {error.strerror}"
        raise ValueError(f"{said}; give ComfyUI the right to write there, or choose another folder") from error
    except Exception as error:  # the host raises a bare one for paths outside
        raise refuse(str(error).strip("* ") or "the folder could not be made") from error
    if not inside:
        raise refuse(leads_out)
    if name in ("", ".", ".."):
        raise refuse("the name after the last slash is missing")
    return OutputPath(Path(folder), name, subfolder)


def with_date(prefix: str, now: time.struct_time) -> str:
    """`%date:yyyy-MM-dd%` as the host's page writes it: `d`, `M`, `h`, `m`, `s`, doubled with a leading zero; `yy`, `yyyy`."""
    values = {"d": now.tm_mday, "M": now.tm_mon, "h": now.tm_hour, "m": now.tm_min, "s": now.tm_sec}

    def said(part: re.Match[str]) -> str:
        letters = part.group()
        if letters[0] == "y":
            return {"yy": str(now.tm_year)[2:], "yyyy": str(now.tm_year)}.get(letters, letters)
        return f"{values[letters[0]]:0{len(letters)}}"

    return DATE.sub(lambda found: PART.sub(said, found.group(1)), prefix)


def _not_a_name(prefix: str) -> str:
    """What is wrong with a prefix, in words; empty where nothing is."""
    if not prefix.isprintable():
        return "it holds characters that cannot be printed"
    if (size := len(prefix.encode("utf-8", "replace"))) > LONGEST:
        return f"{size} bytes, at most {LONGEST} are possible"
    if found := WIDGET.search(prefix):
        return (
            f"{found.group()} is filled in by ComfyUI's page, where it finds that node and that widget; write the value "
            "itself, or the node's title and its widget as the page shows them"
        )
    if "%date" in prefix:
        return "a date is written %date:yyyy-MM-dd%"
    if found := next((one for one in NOT_IN_NAMES if one in prefix), ""):
        return f"{found} cannot be in the name of a file or folder on every system; leave it out"
    folders = [part for part in prefix.split("/")[:-1] if part not in (".", "..")]
    if bad := next((part for part in folders if DEVICES.fullmatch(part) or part != part.rstrip(". ")), ""):
        return f"Windows takes no folder named {bad!r}; choose another name"
    return ""
