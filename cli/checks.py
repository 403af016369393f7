"""Checks of arguments before anything is loaded, and errors of the system in plain words."""

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
    errno.EEXIST: "a file of this name is in the way",
    errno.ENOTDIR: "a part of this path is a file",
    errno.EISDIR: "this is a folder, expected a file",
    errno.ENAMETOOLONG: "the name is too long",
}


def in_words(error: OSError) -> str:
    """An error of the system, without its number."""
    return f"{error.filename}: {reason_of(error)}" if error.filename is not None else reason_of(error)


def reason_of(error: OSError) -> str:
    """The same without the name of the file."""
    return REASONS.get(error.errno or 0) or (error.strerror or str(error)).lower()


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError for a number out of range, and for one that is none (nan)."""
    if not low <= value <= high:
        whole = all(isinstance(number, int) for number in (low, high, value))
        limits = f"{low} to {high}" if whole else f"{low:g} to {high:g}"
        raise ValueError(f"{name}: expected a number from {limits}, got {value}")


def check_seed(seed: int) -> None:
    if not 0 <= seed < 2**63:
        raise ValueError(f"seed: expected 0 to 2^63 - 1, got {seed}")


def check_file(name: str, path: Path) -> None:
    """Raises ValueError where a file to be read is not there."""
    if path.is_dir():
        raise ValueError(f"{name}: expected a file, got the folder {path}")
    if not path.is_file():
        folder = "" if path.parent.is_dir() else f"; the folder {path.parent} is not there either"
        raise ValueError(f"{name}: there is no file {path}{folder}")


def make_folder(path: Path) -> None:
    """Makes a folder for results. Raises ValueError where it cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"output: the folder {path} cannot be made ({reason_of(error)}); choose another one") from error


def check_folder(path: Path) -> None:
    """Raises ValueError where a folder for results could not be made, and makes none."""
    nearest = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not nearest.is_dir():
        raise ValueError(f"output: expected a folder, but {nearest} is a file; choose another one")


def names_of(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart; a file that is given twice is numbered."""
    full = [path.absolute() for path in paths]
    names: list[str] = []
    for path in full:
        others = {other for other in full if other != path}
        depth = next(
            (
                depth
                for depth in range(1, len(path.parts))
                if all(other.parts[-depth:] != path.parts[-depth:] for other in others)
            ),
            len(path.parts),
        )
        name = Path(*path.parts[-depth:]).as_posix()
        again = sum(name == earlier.partition(" (")[0] for earlier in names)
        names.append(f"{name} ({again + 1})" if again else name)
    return names
