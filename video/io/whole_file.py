"""Files that are there whole or not at all, and stay through a power cut."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        with suppress(FileNotFoundError, NotADirectoryError):
            unfinished.unlink()


def begun(unfinished: Path, path: Path) -> None:
    """Makes the unfinished file, before the work that fills it. Raises OSError, which says why none can be written there."""
    try:
        unfinished.touch()
    except OSError as error:
        said = (
            f"{path}: no file can be written there ({obstacle(path) or error.strerror}); choose another place, or change that"
        )
        raise OSError(error.errno, said) from error


def obstacle(path: Path) -> str:
    """Why a file cannot be written, as far as that can be looked up; empty where nothing is found."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(1 << 16))
    except OSError as error:
        return f"the folder {folder} takes no files: {error.strerror}"
    free = shutil.disk_usage(folder).free
    return f"the disk is full: {free >> 20} MB are free" if free < LITTLE else ""


def not_written(path: Path, what: str, said: str = "") -> OSError:
    """What went wrong with a file, the reason where one can be looked up, and FFmpeg's own words where it has any."""
    reason = obstacle(path)
    return OSError(f"{path}: {what}" + (f", because {reason}" if reason else "") + (f"; FFmpeg says: {said}" if said else ""))


LITTLE = 32 << 20
"""Bytes on a disk that is as good as full."""


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
