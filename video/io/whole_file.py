"""Atomic, durable writing of files: complete or not at all, also after a power cut."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file atomically. Raises OSError, with its path, where that fails."""
    try:
        with whole(path) as unfinished:
            unfinished.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, f"{path} could not be written ({error.strerror}); an earlier file is unchanged") from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Context with a temporary path beside `path`: renamed to `path` after the block, removed after an error."""
    unfinished = path.with_name(f".{path.stem}.{os.getpid()}.unfinished{path.suffix}")
    try:
        yield unfinished
        _put_in_place(unfinished, path)
    finally:
        with suppress(FileNotFoundError, NotADirectoryError):
            unfinished.unlink()


def begun(unfinished: Path, path: Path) -> None:
    """Creates the unfinished file before work begins. Raises OSError with the reason where that fails."""
    try:
        unfinished.touch()
    except OSError as error:
        reason = obstacle(path) or error.strerror
        message = f"{path}: no file can be written there ({reason}); choose another folder, or remove the cause"
        raise OSError(error.errno, message) from error


def obstacle(path: Path) -> str:
    """Reason why a file cannot be written; empty where none is found."""
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(1 << 16))
    except OSError as error:
        return f"no file can be written into {folder}: {error.strerror}"
    free = shutil.disk_usage(folder).free
    return f"the disk is full: {free >> 20} MB are free" if free < LITTLE else ""


def not_written(path: Path, what: str, message: str = "") -> OSError:
    """An OSError for a file: what failed, the reason where one is found, and FFmpeg's message."""
    reason = obstacle(path)
    return OSError(f"{path}: {what}" + (f", because {reason}" if reason else "") + (f"; FFmpeg: {message}" if message else ""))


LITTLE = 32 << 20
"""Free bytes below which a disk counts as full."""


def _put_in_place(unfinished: Path, path: Path) -> None:
    """Renames a finished file; data and name are on the disk on return."""
    with unfinished.open("rb+") as written:
        os.fsync(written.fileno())
    os.replace(unfinished, path)
    if hasattr(os, "O_DIRECTORY"):  # the name is durable after fsync of the folder; Windows has no such call
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
