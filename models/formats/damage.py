"""Diagnosis of files that cannot be read, by first bytes and size: truncated, a web page, a pointer, a picture.

"Download it again" is recommended only for files that are shorter than their header requires, or end before their own index.
Sources: the safetensors format (8 bytes, a JSON header, data), PKZIP's end of central directory, git-lfs's pointers.
"""

import json
import struct
import zipfile
from pathlib import Path
from typing import Any

AGAIN = "download it again and compare its size"
PAGE = "a web page that was saved in place of the file"
ANSWER = "a server's response that was saved in place of the file"
MAGIC: tuple[tuple[tuple[bytes, ...], str, str], ...] = (
    ((b"GGUF",), "a GGUF file, whose weights are quantised", "use the .safetensors version in fp16, bf16 or fp32"),
    ((b"version https://git-lfs",), "a pointer of Git LFS, not the file itself",
     "fetch it with `git lfs pull`, or download the file by itself"),
    ((b"<!DOCTYPE", b"<!doctype", b"<html"), PAGE, "download it again, logged in where the site asks for it"),
    ((b"<?xml", b'{"error'), ANSWER, "download it again"),
    ((b"Entry not found",), ANSWER, "check the address it was downloaded from"),
    ((b"Invalid username",), ANSWER, "download it again, logged in"),
    ((b"\x89PNG",), "a picture (PNG)", "pick another file"),
    ((b"\xff\xd8\xff",), "a picture (JPEG)", "pick another file"),
    ((b"GIF8",), "a picture (GIF)", "pick another file"),
    ((b"RIFF",), "a media file (RIFF)", "pick another file"),
    ((b"%PDF",), "a PDF", "pick another file"),
    ((b"\x89HDF",), "an HDF5 file (Keras)", "use the .safetensors version"),
    ((b"\x93NUMPY",), "a NumPy array", "use the .safetensors version"),
    ((b"7z\xbc\xaf",), "a 7z archive", "unpack it first"),
    ((b"Rar!",), "a RAR archive", "unpack it first"),
    ((b"\x1f\x8b",), "a gzip archive", "unpack it first"),
)  # fmt: skip
"""First bytes of a file, its kind, and the remedy."""
LONGEST_HEADER = 100_000_000
"""Most bytes of a safetensors header, by the format's definition."""


def diagnose(path: Path) -> str | None:
    """Kind or damage of a file that cannot be read, and the remedy; None where nothing is found."""
    with path.open("rb") as file:
        head = file.read(64)
    for magic, what, remedy in MAGIC:
        if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(magic):
            return f"this is {what}; {remedy}"
    if is_zip(head):
        return _of_archive(path)
    return _of_header(path, head) if is_safetensors(head) else None


def is_zip(head: bytes) -> bool:
    """Whether a file begins like a zip archive, as torch's do."""
    return head.startswith(b"PK\x03\x04")


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive with its index."""
    try:
        return zipfile.is_zipfile(path)
    except zipfile.BadZipFile:  # an index of several disks
        return False


def is_safetensors(head: bytes) -> bool:
    """Whether a file begins with the length of a header and the header's first bracket."""
    return len(head) >= 9 and head[8:9] == b"{" and 2 <= struct.unpack("<Q", head[:8])[0] <= LONGEST_HEADER


def _of_header(path: Path, head: bytes) -> str | None:
    (length,) = struct.unpack("<Q", head[:8])
    size = path.stat().st_size
    if 8 + length > size:
        return f"the file is truncated: its header alone has {length:,} bytes, the file {size:,}; {AGAIN}"
    with path.open("rb") as file:
        file.seek(8)
        text = file.read(length)
    try:
        ends = [_end(entry) for name, entry in json.loads(text).items() if name != "__metadata__"]
    except (ValueError, AttributeError, RecursionError):
        return f"its header of {length:,} bytes is damaged; {AGAIN}"
    expected = 8 + length + max(ends, default=0)
    if size < expected:
        return f"the file is truncated: expected {expected:,} bytes by its header, got {size:,}; {AGAIN}"
    if size > expected:
        return f"expected {expected:,} bytes by the file's header, got {size:,}, {size - expected:,} more; {AGAIN}"
    return None


def _end(entry: Any) -> int:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    if not isinstance(offsets, list) or len(offsets) != 2 or not all(isinstance(each, int) for each in offsets):
        raise ValueError("no offsets")
    return offsets[1]


def _of_archive(path: Path) -> str | None:
    if not is_archive(path):
        return f"the file is truncated: the index at its end is missing or damaged; {AGAIN}"
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return f"the index at the file's end is damaged; {AGAIN}"
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        return "this is a TorchScript program, which holds code besides tensors; use the .safetensors version"
    if "data.pkl" not in names:
        return "this is a zip archive, but not a torch file (no data.pkl in it); unpack it, or pick another file"
    return None
