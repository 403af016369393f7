"""Reading of video files: frames at a constant rate, one at a time, and sound. Needs PyAV, a requirement of ComfyUI."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from .containers import Source, missing_bytes, name_of
from .decoding import opening_of, timed
from .display import frame_converter
from .soundtrack import wave_of
from .webp import animation_in

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Part of a video in seconds from its first frame; `seconds` 0: to the end."""

    start: float = 0.0
    seconds: float = 0.0

    @property
    def end(self) -> float:
        return self.start + self.seconds if self.seconds else float("inf")


@dataclass(frozen=True)
class Facts:
    """Size, rate and length of a video."""

    width: int
    height: int
    """Size of the frames as read: upright, with square pixels."""
    fps: Fraction
    """Frames per second, on average."""
    frames: int
    """Approximate number of frames, for progress bars."""
    notes: tuple[str, ...] = ()
    """Warnings for users: properties of the video that are ignored (HDR, rotation by other than multiples of 90 degrees)."""


def facts_of(source: Source, part: Part = Part()) -> Facts:  # noqa: B008  frozen
    """Size, rate and length of a part of a video. Raises ValueError for a file without a readable video."""
    if animation := animation_in(source):
        fps, seconds, size, notes = animation.rate, animation.seconds, (animation.width, animation.height), ()
    else:
        opening = opening_of(source)
        fps, seconds, size, notes = opening.rate, opening.seconds, opening.display.upright, opening.display.notes
    length = max(0.0, min(part.end, float(seconds) or part.end) - part.start) if part.seconds or seconds else 0.0
    return Facts(*size, fps, max(1, round(length * fps)) if length < 1e9 else 1, notes)


def check_whole(source: Source) -> None:
    """Raises ValueError for a file that is shorter than its headers state. Called before work that takes hours."""
    if lost := missing_bytes(source):
        raise ValueError(f"{name_of(source)}: the file is truncated ({lost}); copy it again")


def frames_of(source: Source, part: Part = Part()) -> Iterator[Tensor]:  # noqa: B008  frozen
    """Yields frames `(3, h, w)` in [0, 1], one at a time, as displayed by players, at the file's average rate.

    Frames are upright, with square pixels, in sRGB, without transparency. For a variable frame rate (phones, screen recordings)
    each output frame is the one that a player displays at its time, so the duration is unchanged and sound stays in sync.
    Raises ValueError, with the number of the last readable frame, where the file is truncated or damaged.
    """
    fps, start = facts_of(source).fps, Fraction(part.start)
    current, stop, count = None, start, 0
    for moment, length, picture in _timed_frames(source, part):
        while current is not None and count + 0.5 <= (moment - start) * fps:
            yield current
            count += 1
        current, stop = picture, moment + (length or 1 / fps)
    if current is None:
        raise ValueError(f"{name_of(source)}: there is no frame after second {part.start:g}; choose an earlier start")
    while count == 0 or count + 0.5 < (min(stop, part.end) - start) * fps:
        yield current
        count += 1


def _timed_frames(source: Source, part: Part) -> Iterator[tuple[Fraction, Fraction, Tensor]]:
    """Yields (presentation time in seconds, duration in seconds, picture) of each frame of a part."""
    if animation := animation_in(source):
        for moment, length, picture in animation.timed():
            if moment >= part.end:
                return
            if moment + length > part.start:
                yield moment, length, picture
        return
    opening = opening_of(source)
    for note in opening.display.notes:
        log.warning("Zoetrope: %s: %s", name_of(source), note)
    paint = frame_converter(opening.display)
    for one in timed(source, opening, part.start):
        if one.moment >= part.end:
            return
        if one.moment + (one.length or Fraction(1, 1000)) > part.start:
            yield one.moment, one.length, paint(one.frame)


def sound_of(source: Source, part: Part = Part()) -> tuple[Tensor, int] | None:  # noqa: B008  frozen
    """Reads the waveform `(channels, samples)` in [-1, 1] and its sample rate; None for a file without sound.

    Sample 0 is at the time of the part's first frame. Silence is inserted where sound starts later or has gaps; earlier sound
    is left out. Channels are in the order of `mix.LAYOUTS`.
    Raises ValueError for sound that cannot be decoded.
    """
    return None if animation_in(source) else wave_of(source, part.start, part.end)
