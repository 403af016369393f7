"""Joining of videos with the same settings, without re-encoding."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .av import pyav
from .display import BT709, MATRICES, is_hd
from .whole_file import begun, not_written, whole


def join_videos(parts: Sequence[Path], path: Path) -> None:
    """Writes `path` (MP4) from joinable files of `write_video` of one size and frame rate, whole or not at all.

    Raises ValueError where the parts differ or PyAV is not installed, OSError where it cannot be written.
    """
    if not parts:
        raise ValueError("a video needs at least one part, got none")
    av = pyav("joining a shot's parts")
    try:
        with whole(path) as unfinished:
            begun(unfinished, path)
            with _opened(av, parts[0]) as first:
                options = index_options(first)
            with av.open(str(unfinished), "w", options=options) as target:
                _append_all(av, parts, target)
    except av.FFmpegError as error:
        raise not_written(path, "could not be written", str(error)) from error


def index_options(source: Any) -> dict[str, str]:
    """Options of an MP4 that copies a video stream: index first, same time base."""
    return {"movflags": "+faststart", "video_track_timescale": str(source.streams.video[0].time_base.denominator)}


def _append_all(av: Any, parts: Sequence[Path], target: Any) -> None:
    out, shift, kind = None, 0, None
    for part in parts:
        with _opened(av, part) as source:
            stream = source.streams.video[0]
            here = (stream.codec.name, stream.width, stream.height, stream.average_rate, stream.time_base)
            if kind not in (None, here):
                raise ValueError(f"{part.name}: expected a part like the first ({kind}), got {here}")
            kind = here
            if out is None:
                out = target.add_stream_from_template(stream, opaque=True)
            length = 0
            for packet in source.demux(stream):
                if packet.dts is None:  # the end
                    continue
                length += packet.duration
                packet.stream = out
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                target.mux(packet)
            shift += length


class BrokenPart(ValueError):
    """A part that cannot be read, or has other colour tags than parts of this version."""

    def __init__(self, part: Path, why: str):
        super().__init__(f"{part}: {why}")
        self.part = part


@contextmanager
def _opened(av: Any, part: Path) -> Iterator[Any]:
    try:
        source = av.open(str(part))
    except av.FFmpegError as error:
        raise BrokenPart(part, f"no readable video ({error})") from error
    with source:
        if not source.streams.video:
            raise BrokenPart(part, "it contains no video")
        stream = source.streams.video[0]
        hd = is_hd(stream.width, stream.height)
        if hd != (MATRICES.get(stream.codec_context.colorspace) == BT709):  # parts of 0.1 have no tags
            raise BrokenPart(part, "its colour tags are those of an older version")
        yield source
