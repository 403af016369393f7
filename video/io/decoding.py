"""Decoding: frames of a video with their presentation times."""

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from typing import Any

from .av import pyav, words_of
from .containers import RAW, Source, clean_aperture, missing_bytes, name_of, opened
from .display import Display, display_of
from .rate import FASTEST

log = logging.getLogger(__name__)

NOT_FILMS = 0x400 | 0x800
"""FFmpeg's dispositions of cover pictures and of thumbnails."""
DEFAULT = 0x1
DAMAGED = 24
"""Consecutive undecodable frames after which reading fails."""
LONGEST = 3600
"""Longest duration of a frame in seconds; longer ones are damaged timestamps."""
JUMPS = {"mpegts": 10, "mpeg": 10}
"""The same for containers whose timestamps may jump where recordings were joined (FFmpeg's limit)."""


@dataclass(frozen=True)
class Opening:
    """Facts of a video from its headers and its first frame."""

    origin: Fraction
    """Timestamp of the first frame in seconds."""
    rate: Fraction
    """Frames per second, on average."""
    seconds: Fraction
    """Approximate duration; 0 where it is unknown."""
    display: Display


@dataclass(frozen=True)
class Timed:
    """A decoded frame with its time."""

    moment: Fraction
    """Presentation time in seconds; 0 for the first frame of the video."""
    length: Fraction
    """Duration in seconds; 0 where it is unknown."""
    frame: Any
    """PyAV's VideoFrame."""


def opening_of(source: Source) -> Opening:
    """Decodes the first frame. Raises ValueError for a file without a readable video."""
    with opened(source) as container:
        stream = video_stream(container, source)
        number = container.streams.video.index(stream)
        rate = _rate(stream)
        first = next(iter(_decoded(container, stream, Fraction(0), rate, source)))
        seconds = stream.duration * stream.time_base if stream.duration else _length(container) - max(0, first.moment)
        aperture = clean_aperture(source, number) if "mov" in container.format.name else None
        return Opening(first.moment, rate, Fraction(max(0, seconds)), display_of(stream, first.frame, aperture))


def _length(container: Any) -> Fraction:
    """Duration of a container in seconds; Matroska counts it from timestamp 0."""
    begins = 0 if "matroska" in container.format.name else (container.start_time or 0)
    return Fraction((container.duration or 0) + begins, 1_000_000)


def video_stream(container: Any, source: Source) -> Any:
    """The video stream that players use: the default one, not a cover. Raises ValueError where there is none."""
    films = video_streams(container)
    if not films:
        raise ValueError(f"{name_of(source)}: this file contains no video, only {container.format.long_name}")
    film = default_stream(films)
    if getattr(film, "codec_context", None) is None:
        raise ValueError(f"{name_of(source)}: its codec is not supported by FFmpeg; convert it to H.264")
    return film


def video_streams(container: Any) -> list[Any]:
    """Video streams of a container, without covers and thumbnails."""
    return [one for one in container.streams.video if not _disposition(one) & NOT_FILMS]


def default_stream(streams: Any) -> Any:
    """The stream that is marked as the default, else the first."""
    return next((one for one in streams if _disposition(one) & DEFAULT), streams[0])


def _disposition(stream: Any) -> int:
    flags = getattr(stream, "disposition", 0)
    return int(getattr(flags, "value", flags))


def _rate(stream: Any) -> Fraction:
    """The average frame rate; where it is a time base (DV, some WebM), the rate that FFmpeg guesses."""
    rates = [Fraction(rate) for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate) if rate]
    return next((rate for rate in rates if 0 < rate <= FASTEST), Fraction(25))


def timed(source: Source, opening: Opening, start: float = 0) -> Iterator[Timed]:
    """Decodes frames in presentation order, from the one at second `start` or an earlier one.

    Raises ValueError where the file is truncated or damaged, with the number of the frame. Single frames that cannot be
    decoded are skipped, as in players, and counted in the log.
    """
    if start > 1:
        found = _after(source, opening, start)
        first = next(found, None)
        if first and first.moment <= start:
            yield from chain([first], found)
            return
        found.close()
    with opened(source) as container:
        yield from _decoded(container, video_stream(container, source), opening.origin, opening.rate, source, opening.seconds)


def _after(source: Source, opening: Opening, start: float) -> Generator[Timed, None, None]:
    """Decodes from the last keyframe before a time; yields nothing where the file cannot be sought in."""
    av = pyav("reading a video")
    with opened(source) as container:
        stream = video_stream(container, source)
        if container.format.name in RAW:
            return
        try:
            container.seek(int((Fraction(start) - 1 + opening.origin) / stream.time_base), stream=stream)
        except (av.FFmpegError, OverflowError):
            return
        yield from _decoded(container, stream, opening.origin, opening.rate, source, opening.seconds, sought=True)


def _decoded(
    container: Any, stream: Any, origin: Fraction, rate: Fraction, source: Source, seconds: Fraction = Fraction(0),
    sought: bool = False,
) -> Iterator[Timed]:  # fmt: skip
    """Decodes from the position of the container; times are relative to `origin`.

    A caller that stops early has to wait for the decoder's threads: PyAV 14 frees a decoder while holding the GIL, which a
    thread that writes to the log waits for.
    """
    stream.thread_type = "AUTO"
    clock = _Clock(stream.time_base, origin, rate, JUMPS.get(container.format.name, LONGEST), sought)
    state = _Damage(source)
    try:
        for frame in state.frames(container, stream, clock):
            one = clock.timed(frame)
            state.reached = one.moment + (one.length or 1 / rate)
            yield one
    finally:
        stream.codec_context.flush_buffers()  # waits for the threads, without the GIL
    state.check(bool(seconds) and seconds - state.reached > 2 / rate + Fraction(1, 20), bool(seconds))


class _Clock:
    """Presentation times from the timestamps of packets and frames."""

    def __init__(self, base: Fraction, origin: Fraction, rate: Fraction, longest: int, sought: bool):
        self._base, self._origin, self._step, self._longest = base, origin, 1 / rate, longest
        self._next: Fraction | None = None if sought else origin
        self._begun, self._shift = False, Fraction(0)
        self._lengths: dict[int | None, int] = {}

    def note(self, packet: Any) -> None:
        """Stores the duration of a packet, which frames of older PyAV lack."""
        if packet.pts is not None and packet.duration:
            self._lengths[packet.pts] = packet.duration

    def timed(self, frame: Any) -> Timed:
        """A frame with its time: from its timestamp, or one step after the previous frame."""
        base = frame.time_base or self._base
        timestamp = frame.pts if frame.pts is not None else frame.dts
        length = getattr(frame, "duration", 0) or self._lengths.pop(frame.pts, 0)
        following = self._next if self._next is not None else self._origin
        moment = following if timestamp is None else timestamp * base + self._shift
        if self._begun and abs(moment - following) > self._longest:
            self._shift += following - moment
            moment = following
        length = min(Fraction(max(0, length)) * base, Fraction(self._longest))
        self._begun, self._next = True, moment + (length or self._step)
        if len(self._lengths) > 10_000:
            self._lengths.clear()
        return Timed(moment - self._origin, length, frame)


class _Damage:
    """Decodes, skips frames that cannot be decoded, and checks at the end whether frames are missing."""

    def __init__(self, source: Source):
        self._source, self._count, self._failed, self._row = source, 0, 0, 0
        self._error: Exception | None = None
        self.reached = Fraction(0)

    def frames(self, container: Any, stream: Any, clock: _Clock) -> Iterator[Any]:
        """Decodes every frame that can be decoded."""
        av = pyav("reading a video")
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError as error:
                self._error, self._row = error, self._row + 1
                return
            if packet is None:
                return
            clock.note(packet)
            try:
                frames = packet.decode()
            except av.FFmpegError as error:
                self._skip(error)
                continue
            for frame in frames:
                self._count, self._row = self._count + 1, 0
                yield frame

    def _skip(self, error: Exception) -> None:
        self._error, self._row = error, self._row + 1
        self._failed += bool(self._count)
        if self._row >= (DAMAGED if self._count else 100 * DAMAGED):
            raise self._broken()

    def check(self, short: bool, sure: bool) -> None:
        """Checks after the last frame. Raises ValueError where frames are missing.

        short   whether the video ended before its duration
        sure    whether that duration is known
        """
        if not self._count:
            raise self._broken()
        lost = missing_bytes(self._source)
        if (lost and (short or not sure)) or (self._row and (short or not sure)):
            raise self._broken(lost)
        if self._failed:
            log.warning(
                "Zoetrope: %s: %d damaged frames (%s) are replaced by the ones before",
                name_of(self._source), self._failed, words_of(self._error),
            )  # fmt: skip

    def _broken(self, lost: str = "") -> ValueError:
        name, lost = name_of(self._source), lost or missing_bytes(self._source)
        if not self._count and not self._error and not lost:
            return ValueError(f"{name}: this is not a readable video: it contains no frames")
        av = pyav("reading a video").error
        unknown = (NotImplementedError, av.PatchWelcomeError, av.DecoderNotFoundError)
        if isinstance(self._error, unknown) and not lost:
            return ValueError(f"{name}: FFmpeg cannot decode it ({words_of(self._error)}); convert it to H.264")
        reason = lost or f"what follows is damaged: {words_of(self._error)}"
        where = f"the file cannot be read after frame {self._count}" + (
            f", second {float(self.reached):.2f}" if self._count else ""
        )
        return ValueError(f"{name}: {where} ({reason}); copy it again")
