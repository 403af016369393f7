"""Output paths: below the host's output folder, links resolved, with names that are valid on every system."""

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import folder_paths

LONGEST = 200
"""Maximum bytes of a prefix; file systems allow 255 per name, and a number and a suffix follow."""
DATE = re.compile(r"%date:([^%]*)%")
PART = re.compile(r"dd?|MM?|hh?|mm?|ss?|yyy?y?")
"""Parts of a date format of the host's page."""
WIDGET = re.compile(r"%[^%/\\.]+\.[^%/\\.]+%")
NOT_IN_NAMES = '<>:"|?*'
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Names reserved by Windows."""


@dataclass(frozen=True)
class OutputPath:
    """A folder below the host's output folder and a file name prefix."""

    folder: Path
    name: str
    """Prefix of the names of files and folders."""
    subfolder: str
    """The folder relative to output, as in the host's /view."""


def output_place(filename_prefix: str) -> OutputPath:
    """The folder and name of a prefix such as `zoetrope/shot`; makes the folder where it is missing.

    `%year%` and the like are replaced as the host does, and `%date:yyyy-MM-dd%` as its page does. Raises ValueError for a path
    outside the output folder, also through links, for an empty or invalid name, and for `%node.widget%`, which only the page
    can replace.
    """

    def refuse(got: str) -> ValueError:
        expected = "a folder and a name below ComfyUI's output folder, such as zoetrope/shot"
        return ValueError(f"filename_prefix: expected {expected}, got {filename_prefix[:60]!r}: {got}")

    prefix = with_date(filename_prefix, time.localtime()).replace("\\", "/")
    if problem := _problem_of(prefix):
        raise refuse(problem)
    output = Path(folder_paths.get_output_directory())
    leads_out = "outside the output folder, by itself or through a link; --output-directory of ComfyUI sets another one"
    if not (output / os.path.dirname(os.path.normpath(prefix))).resolve().is_relative_to(output.resolve()):
        raise refuse(leads_out)
    try:
        folder, name, _, subfolder, _ = folder_paths.get_save_image_path(prefix, str(output))
        inside = Path(folder).resolve().is_relative_to(output.resolve())
    except OSError as error:
        problem = f"filename_prefix: the folder of {filename_prefix[:60]!r} could not be made below {output}: {error.strerror}"
        raise ValueError(f"{problem}; give ComfyUI the right to write there, or choose another folder") from error
    except Exception as error:  # the host raises a bare Exception for paths outside
        raise refuse(str(error).strip("* ") or "the folder could not be made") from error
    if not inside:
        raise refuse(leads_out)
    if name in ("", ".", ".."):
        raise refuse("the name after the last slash is missing")
    return OutputPath(Path(folder), name, subfolder)


def with_date(prefix: str, now: time.struct_time) -> str:
    """Replaces `%date:yyyy-MM-dd%` as the host's page does: `d`, `M`, `h`, `m`, `s`, `dd` for a leading zero; `yy`, `yyyy`."""
    values = {"d": now.tm_mday, "M": now.tm_mon, "h": now.tm_hour, "m": now.tm_min, "s": now.tm_sec}

    def formatted(part: re.Match[str]) -> str:
        letters = part.group()
        if letters[0] == "y":
            return {"yy": str(now.tm_year)[2:], "yyyy": str(now.tm_year)}.get(letters, letters)
        return f"{values[letters[0]]:0{len(letters)}}"

    return DATE.sub(lambda found: PART.sub(formatted, found.group(1)), prefix)


def _problem_of(prefix: str) -> str:
    """The reason why a prefix is invalid; empty where it is valid."""
    if not prefix.isprintable():
        return "it has characters that cannot be printed"
    if (size := len(prefix.encode("utf-8", "replace"))) > LONGEST:
        return f"{size} bytes, at most {LONGEST} are possible"
    if found := WIDGET.search(prefix):
        return (
            f"{found.group()} is replaced by ComfyUI's page, if it finds that node and that widget; write the value itself, or "
            "the node's title and its widget as on the page"
        )
    if "%date" in prefix:
        return "a date is written %date:yyyy-MM-dd%"
    if found := next((one for one in NOT_IN_NAMES if one in prefix), ""):
        return f"{found} cannot be in the name of a file or folder on every system; leave it out"
    folders = [part for part in prefix.split("/")[:-1] if part not in (".", "..")]
    if bad := next((part for part in folders if DEVICES.fullmatch(part) or part != part.rstrip(". ")), ""):
        return f"Windows does not allow a folder named {bad!r}; choose another name"
    return ""
