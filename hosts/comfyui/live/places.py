"""Files and folders that a live shot reads, below the host's own folders."""

from pathlib import Path, PureWindowsPath

import folder_paths


def input_place(name: str, what: str) -> Path:
    """A path below ComfyUI's input folder. Raises ValueError for any other."""
    return _below(Path(folder_paths.get_input_directory()), name, what, "input")


def output_folder(name: str, what: str) -> Path:
    """A folder below ComfyUI's output folder. Raises ValueError for any other, and where there is none."""
    path = _below(Path(folder_paths.get_output_directory()), name, what, "output")
    if not path.is_dir():
        raise ValueError(f"{what}: there is no folder {name!r} in ComfyUI's output folder")
    return path


def _below(base: Path, name: str, what: str, kind: str) -> Path:
    windows = PureWindowsPath(name)
    inside = name.strip() and not windows.drive and not windows.root and ".." not in windows.parts and name.isprintable()
    if not inside:
        raise ValueError(f"{what}: expected a name below ComfyUI's {kind} folder, such as live, got {name[:60]!r}")
    return base / name
