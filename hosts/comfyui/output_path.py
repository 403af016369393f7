"""Where files may be written: below the host's output folder, links followed."""

import os
from dataclasses import dataclass
from pathlib import Path

import folder_paths

LONGEST = 200
"""Bytes of a prefix; file systems end at 255 for one name, and a number and a suffix follow."""


@dataclass(frozen=True)
class OutputPlace:
    folder: Path
    name: str
    """What files and folders there begin with."""
    subfolder: str
    """The folder as the host's /view names it, below output."""


def output_place(filename_prefix: str) -> OutputPlace:
    """The folder of a prefix such as `zoetrope/shot`, made where it is missing; `%year%` means what it means in the host.

    Raises ValueError where it leads outside the output folder, also through links, and where it is no name.
    """

    def refuse(got: str) -> ValueError:
        expected = "a folder and a name below ComfyUI's output folder, such as zoetrope/shot"
        return ValueError(f"filename_prefix: expected {expected}, got {filename_prefix[:60]!r}: {got}")

    if not filename_prefix.isprintable():
        raise refuse("it holds characters that cannot be printed")
    if (size := len(filename_prefix.encode("utf-8", "replace"))) > LONGEST:
        raise refuse(f"{size} bytes, at most {LONGEST} are possible")
    output = Path(folder_paths.get_output_directory())
    leads_out = "outside the output folder, by itself or through a link; --output-directory of ComfyUI sets another one"
    if not (output / os.path.dirname(os.path.normpath(filename_prefix))).resolve().is_relative_to(output.resolve()):
        raise refuse(leads_out)
    try:
        folder, name, _, subfolder, _ = folder_paths.get_save_image_path(filename_prefix, str(output))
        inside = Path(folder).resolve().is_relative_to(output.resolve())
    except Exception as error:  # the host raises a bare one for paths outside
        raise refuse(str(error).strip("* ") or "the folder could not be made") from error
    if not inside:
        raise refuse(leads_out)
    if name in ("", ".", ".."):
        raise refuse("the name after the last slash is missing")
    return OutputPlace(Path(folder), name, subfolder)
