"""Files that are there whole or not at all, and stay through a power cut."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """The file appears when it is whole and on the disk. Raises OSError, which names the file, where that fails."""
    try:
        with whole(path) as unfinished:
            unfinished.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, f"{path} could not be written ({error.strerror}); what was there before is kept") from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to. After the block it has the name, or, where the block raised, nothing is left of it."""
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.unfinished{path.suffix}")
    try:
        yield unfinished
        _put_in_place(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Gives a finished file its name, both on the disk when this returns."""
    with unfinished.open("rb+") as written:
        os.fsync(written.fileno())
    os.replace(unfinished, path)
    if hasattr(os, "O_DIRECTORY"):  # a new name is safe when its folder is on the disk too; Windows has no such call
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
