"""Videos made with the same settings to one, without encoding anything again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .av import pyav
from .whole_file import whole


def join_videos(parts: Sequence[Path], path: Path) -> None:
    """Writes `path` (MP4) from joinable files of `write_video` of one size and frame rate, whole or not at all.

    Raises ValueError where the parts do not go together or PyAV is not installed, OSError where the disk is full.
    """
    if not parts:
        raise ValueError("a video needs at least one part, got none")
    av = pyav("joining a shot's parts")
    try:
        with whole(path) as unfinished, av.open(str(unfinished), "w", options={"movflags": "+faststart"}) as target:
            _append_all(av, parts, target)
    except av.FFmpegError as error:
        raise OSError(f"{path}: could not be written ({error}); is the disk full?") from error


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
                out = target.add_stream_from_template(stream)
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
    """A part that cannot be read."""

    def __init__(self, part: Path, error: Exception):
        super().__init__(f"{part}: no readable video ({error})")
        self.part = part


@contextmanager
def _opened(av: Any, part: Path) -> Iterator[Any]:
    try:
        source = av.open(str(part))
    except av.FFmpegError as error:
        raise BrokenPart(part, error) from error
    with source:
        yield source
