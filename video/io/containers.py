"""Containers: supported formats, opening of files, and detection of truncated ones."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

from .av import pyav, words_of

Source = str | Path | Any
"""A path, or an open file in memory."""

FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,apng,mxf,gxf,nut,ivf,rm,wtv,dv,yuv4mpegpipe,mpegvideo,mjpeg,m4v,"
    "h261,h263,h264,hevc,obu,vc1,dnxhd,wav,mp3,flac,aac"
)
"""Demuxers of self-contained files. Playlists (HLS, DASH) and patterns would open other files, and the network."""

RAW = {"mpegvideo", "mjpeg", "m4v", "h261", "h263", "h264", "hevc", "obu", "vc1", "dnxhd"}
"""Demuxers of raw streams without timestamps, which cannot be sought in."""

SUPPORTED = (
    "MP4, MOV, MKV, WebM, AVI, MPEG (TS, PS, raw), DV, Y4M, MJPEG, H.264, HEVC, FLV, Ogg, WMV, MXF, GIF, APNG and animated WebP"
)

FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot")
"""First boxes of MP4 and MOV files."""


def name_of(source: Source) -> str:
    """Name of a source in error messages."""
    return Path(source).name if isinstance(source, str | Path) else "the video"


def opened(source: Source) -> Any:
    """Opens a file with PyAV. Raises ValueError, with the supported formats, for one that cannot be read."""
    av = pyav("reading a video")
    if isinstance(source, str | Path) and not Path(source).is_file():
        raise ValueError(f"{name_of(source)}: there is no such file in {Path(source).parent}")
    if not isinstance(source, str | Path):
        source.seek(0)
    allowed = {"format_whitelist": FORMATS}  # as `options` it crashes PyAV before 17 where streams are found late (MPEG-PS)
    kind = "mjpeg" if _bare_jpegs(source) else None
    try:  # "file:", because a name with a colon would begin with a protocol otherwise
        location = f"file:{source}" if isinstance(source, str | Path) else source
        return av.open(location, "r", format=kind, container_options=allowed, metadata_errors="replace")
    except PermissionError as error:
        raise ValueError(f"{name_of(source)}: this file may not be read ({error.strerror}); change its rights") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        message = words_of(error)
        lost = missing_bytes(source)
        remedy = f"{lost}; copy it again" if lost else f"supported are {SUPPORTED}; convert it to one of them, such as MP4"
        raise ValueError(f"{name_of(source)}: this is not a readable video ({message}); {remedy}") from error


def _bare_jpegs(source: Source) -> bool:
    """Whether a source is a raw stream of JPEGs, which FFmpeg may take for a sequence of image files."""
    if isinstance(source, str | Path) and Path(source).suffix.lower() in (".jpg", ".jpeg", ".jpe"):
        return False
    with bytes_of(source) as (file, _):
        return file.read(3) == b"\xff\xd8\xff"


def missing_bytes(source: Source) -> str:
    """How much of a truncated file is missing by its headers (MP4, MOV, MKV, WebM, AVI, WebP); empty for a complete file."""
    with bytes_of(source) as (file, size):
        if not size:
            return "it is empty"
        start = file.read(16)
        if start[:4] == b"RIFF":
            end = 8 + int.from_bytes(start[4:8], "little") if start[4:8] not in (bytes(4), b"\xff" * 4) else 0
        elif start[:4] == b"\x1a\x45\xdf\xa3":
            end = _segment_end(file)
        elif start[4:8] in FIRST_BOXES:
            end, known = 0, set()
            for kind, _, box_end in boxes(file, 0, size):
                known.add(kind)
                end = box_end
            if end <= size and not known & {b"moov", b"moof"}:
                return "its index (the moov box), which is written last, is missing"
        else:
            return ""
    return f"{end - size} of its {end} bytes are missing" if end > size else ""


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of its contents, end) of each box of an MP4 or MOV between two positions (ISO/IEC 14496-12).

    Ends after a box that is longer than the file.
    """
    while start + 8 <= end:
        file.seek(start)
        head = file.read(16)
        length, kind, inside = int.from_bytes(head[:4], "big"), head[4:8], start + 8
        if length == 1:
            length, inside = int.from_bytes(head[8:16], "big"), start + 16
        stop = end if length == 0 else start + length
        if stop < inside:
            return
        yield kind, inside, stop
        start = stop


def clean_aperture(source: Source, track: int) -> tuple[int, int, int, int] | None:
    """Reads (left, top, width, height) of the visible part of video track number `track` of an MP4 or MOV (`clap` box).

    None without such a box, and where it is outside the picture.
    """
    with bytes_of(source) as (file, size):
        if file.read(8)[4:8] not in FIRST_BOXES:
            return None
        tracks = [(at, end) for at, end in _inside(file, [(0, size)], b"moov", b"trak") if _is_video(file, at, end)]
        if track >= len(tracks):
            return None
        for at, end in _inside(file, [tracks[track]], b"mdia", b"minf", b"stbl", b"stsd"):
            for _, entry, entry_end in boxes(file, at + 8, end):
                file.seek(entry + 24)
                width, height = (int.from_bytes(file.read(2), "big") for _ in range(2))
                for kind, inside, _ in boxes(file, entry + 78, entry_end):
                    if kind == b"clap":
                        file.seek(inside)
                        return _aperture([int.from_bytes(file.read(4), "big", signed=True) for _ in range(8)], width, height)
    return None


def _aperture(values: list[int], width: int, height: int) -> tuple[int, int, int, int] | None:
    """Clean aperture from the four fractions of a `clap` box: width, height, and offset of the centre, right and down."""
    if not all(values[1::2]):
        return None
    w, h, right, down = (Fraction(*values[n : n + 2]) for n in range(0, 8, 2))
    left, top = round((width - w) / 2 + right), round((height - h) / 2 + down)
    inside = left >= 0 and top >= 0 and 0 < w <= width - left and 0 < h <= height - top
    return (left, top, round(w), round(h)) if inside and (w, h) != (width, height) else None


def _inside(file: BinaryIO, places: list[tuple[int, int]], *path: bytes) -> list[tuple[int, int]]:
    """The contents of all boxes on a path, as (start, end)."""
    for name in path:
        found = []
        for start, end in places:
            found += [(at, min(stop, end)) for kind, at, stop in boxes(file, start, end) if kind == name]
        places = found
    return places


def _is_video(file: BinaryIO, start: int, end: int) -> bool:
    for at, _ in _inside(file, [(start, end)], b"mdia", b"hdlr"):
        file.seek(at + 8)
        return file.read(4) == b"vide"
    return False


def _segment_end(file: BinaryIO) -> int:
    """End of a Matroska file's segment (RFC 8794, 9559); 0 where it is unknown, as in live recordings."""
    file.seek(4)
    header = _number(file)
    file.seek(header, os.SEEK_CUR)
    if file.read(4) != b"\x18\x53\x80\x67":
        return 0
    length = _number(file)
    return file.tell() + length if length else 0


def _number(file: BinaryIO) -> int:
    """Reads a length of EBML; 0 for an unknown one."""
    first = file.read(1)
    if not first or not first[0]:
        return 0
    more = 8 - first[0].bit_length()
    remaining = file.read(more)
    value = int.from_bytes(bytes([first[0] & (0x7F >> more)]) + remaining, "big")
    return 0 if value == (1 << 7 * (more + 1)) - 1 else value


@contextmanager
def bytes_of(source: Source) -> Iterator[tuple[BinaryIO, int]]:
    """A source as a binary file at its start, and its size; an open file is returned to its position."""
    with Path(source).open("rb") if isinstance(source, str | Path) else nullcontext(source) as file:
        position = file.tell()
        size = file.seek(0, io.SEEK_END)
        file.seek(0)
        yield file, size
        file.seek(position)
