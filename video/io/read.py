"""Video files frame by frame, at one even rate, and their sound. Needs PyAV, which ComfyUI brings."""

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
    """Which part of a video: from a second on, so many seconds; 0: to its end. Second 0 is where its first picture is shown."""

    start: float = 0.0
    seconds: float = 0.0

    @property
    def end(self) -> float:
        return self.start + self.seconds if self.seconds else float("inf")


@dataclass(frozen=True)
class Facts:
    """What a file says about itself, and its first picture about all of them."""

    width: int
    height: int
    """As the frames are read: upright, with square pixels."""
    fps: Fraction
    """Frames per second, on average."""
    frames: int
    """About how many, for progress bars."""
    notes: tuple[str, ...] = ()
    """What is not applied (HDR, slanted pictures), in words."""


def facts_of(source: Source, part: Part = Part()) -> Facts:  # noqa: B008  frozen
    """Raises ValueError for a file that holds no readable video."""
    if animation := animation_in(source):
        fps, seconds, size, notes = animation.rate, animation.seconds, (animation.width, animation.height), ()
    else:
        opening = opening_of(source)
        fps, seconds, size, notes = opening.rate, opening.seconds, opening.display.upright, opening.display.notes
    shown = max(0.0, min(part.end, float(seconds) or part.end) - part.start) if part.seconds or seconds else 0.0
    return Facts(*size, fps, max(1, round(shown * fps)) if shown < 1e9 else 1, notes)


def check_whole(source: Source) -> None:
    """Before work that takes hours: raises ValueError for a file that says itself that its end is missing."""
    if lost := missing_bytes(source):
        raise ValueError(f"{name_of(source)}: the file breaks off ({lost}); copy it again")


def frames_of(source: Source, part: Part = Part()) -> Iterator[Tensor]:  # noqa: B008  frozen
    """Frames `(3, h, w)` in [0, 1], one at a time, as a player shows them, at the file's average rate.

    They are upright, with square pixels, in sRGB's numbers, without transparency. Where frames are unevenly spaced in time
    (phones, screen recordings), each moment shows the frame that a player would show, so that the length stays and sound stays
    in step. Raises ValueError where the file breaks off, with the number of the frame.
    """
    fps, start = facts_of(source).fps, Fraction(part.start)
    shown, stop, count = None, start, 0
    for moment, length, picture in _shown(source, part):
        while shown is not None and count + 0.5 <= (moment - start) * fps:
            yield shown
            count += 1
        shown, stop = picture, moment + (length or 1 / fps)
    if shown is None:
        raise ValueError(f"{name_of(source)}: it has no frame after second {part.start:g}; choose an earlier start")
    while count == 0 or count + 0.5 < (min(stop, part.end) - start) * fps:
        yield shown
        count += 1


def _shown(source: Source, part: Part) -> Iterator[tuple[Fraction, Fraction, Tensor]]:
    """(second at which it appears, seconds that the file gives it, picture) of each frame of a part."""
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
    """The waveform `(channels, samples)` in [-1, 1] and its rate, or None where the file has no sound.

    Sample 0 is heard when the first picture of the part is shown: sound that begins later is led in by silence, gaps are
    silent, and what is heard before that picture is left out. Channels come in the order of `mix.LAYOUTS`.
    Raises ValueError for sound that cannot be decoded.
    """
    return None if animation_in(source) else wave_of(source, part.start, part.end)
