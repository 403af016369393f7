"""Checks of arguments before models are loaded, and messages for system errors."""

import errno
from collections.abc import Sequence
from pathlib import Path

REASONS = {
    errno.ENOENT: "there is no such file or folder",
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EROFS: "the disk is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EEXIST: "a file of this name exists",
    errno.ENOTDIR: "a part of this path is a file",
    errno.EISDIR: "this is a folder, expected a file",
    errno.ENAMETOOLONG: "the name is too long",
}


def in_words(error: OSError) -> str:
    """Message of a system error with its file, without its number."""
    return f"{error.filename}: {reason_of(error)}" if error.filename is not None else reason_of(error)


def reason_of(error: OSError) -> str:
    """Message of a system error without its file."""
    return REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError for a number out of range, and for NaN."""
    if not low <= value <= high:
        integers = all(isinstance(number, int) for number in (low, high, value))
        limits = f"{low} to {high}" if integers else f"{low:g} to {high:g}"
        raise ValueError(f"{name}: expected a number from {limits}, got {value}")


def check_seed(seed: int) -> None:
    """Raises ValueError for a seed out of range."""
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed: expected 0 to 2^63 - 1, got {seed}")


def check_file(name: str, path: Path) -> None:
    """Raises ValueError where a file to be read does not exist."""
    if path.is_dir():
        raise ValueError(f"{name}: expected a file, got the folder {path}")
    if not path.is_file():
        folder = "" if path.parent.is_dir() else f"; the folder {path.parent} does not exist either"
        raise ValueError(f"{name}: there is no file {path}{folder}")


def make_folder(path: Path) -> None:
    """Makes a folder for results. Raises ValueError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"output: the folder {path} cannot be made ({reason_of(error)}); choose another one") from error


def check_folder(path: Path) -> None:
    """Raises ValueError where a folder for results could not be made; does not make it."""
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise ValueError(f"output: expected a folder, but {existing} is a file; choose another one")


def names_of(paths: Sequence[Path]) -> list[str]:
    """Shortest distinct ends of paths; a path that is given twice is numbered."""
    full = [path.absolute() for path in paths]
    names: list[str] = []
    for path in full:
        others = {other for other in full if other != path}
        depth = 1
        while depth < len(path.parts) and any(other.parts[-depth:] == path.parts[-depth:] for other in others):
            depth += 1
        name = Path(*path.parts[-depth:]).as_posix()
        again = sum(name == earlier.partition(" (")[0] for earlier in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names
