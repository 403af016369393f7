"""Reading of animated WebP with Pillow, because PyAV's FFmpeg cannot decode it."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from .containers import Source, bytes_of, missing_bytes, name_of
from .picture import of_pixels

SHORTEST, REPLACED_BY = 11, 100
"""Milliseconds: a shorter frame is displayed for a tenth of a second, as in browsers."""


@dataclass(frozen=True)
class Animation:
    """Size and durations of an animated WebP."""

    source: Source
    width: int
    height: int
    lengths: tuple[int, ...]
    """Duration of each frame in milliseconds."""

    @property
    def seconds(self) -> Fraction:
        return Fraction(sum(self.lengths), 1000)

    @property
    def rate(self) -> Fraction:
        """Frames per second, on average."""
        return len(self.lengths) / self.seconds

    def timed(self) -> Iterator[tuple[Fraction, Fraction, Tensor]]:
        """(presentation time, duration (both in seconds), picture `(3, h, w)` in [0, 1]) of each frame.

        The alpha channel is ignored. Raises ValueError where the file is truncated or damaged.
        """
        moment = Fraction(0)
        with self._opened() as picture:
            for number, milliseconds in enumerate(self.lengths):
                try:
                    picture.seek(number)
                    pixels = np.array(picture.convert("RGBA"))[..., :3]
                except (OSError, EOFError, ValueError) as error:
                    raise self._broken(number, error) from error
                length = Fraction(milliseconds, 1000)
                yield moment, length, of_pixels(pixels)
                moment += length

    def _opened(self) -> Any:
        if not isinstance(self.source, str | Path):
            self.source.seek(0)
        try:
            return Image.open(self.source)
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError) as error:
            raise self._broken(0, error) from error

    def _broken(self, number: int, error: Exception) -> ValueError:
        reason = missing_bytes(self.source) or f"what follows is damaged: {error}"
        return ValueError(f"{name_of(self.source)}: the file cannot be read after frame {number} ({reason}); copy it again")


def animation_in(source: Source) -> Animation | None:
    """Reads the headers of an animated WebP; None for other files. Raises ValueError for a WebP with a single picture."""
    if isinstance(source, str | Path) and not Path(source).is_file():
        return None
    size, lengths = (0, 0), []
    with bytes_of(source) as (file, end):
        head = file.read(12)
        if head[:4] != b"RIFF" or head[8:] != b"WEBP":
            return None
        at = 12
        while at + 8 <= end:
            file.seek(at)
            kind, length = file.read(4), int.from_bytes(file.read(4), "little")
            if kind == b"VP8X":
                header = file.read(10)
                size = (1 + int.from_bytes(header[4:7], "little"), 1 + int.from_bytes(header[7:10], "little"))
            elif kind == b"ANMF":
                duration = int.from_bytes(file.read(16)[12:15], "little")
                lengths.append(duration if duration >= SHORTEST else REPLACED_BY)
            at += 8 + length + length % 2
    if not lengths:
        raise ValueError(f"{name_of(source)}: this is not a video: it is a single picture; load it as an image")
    return Animation(source, *size, tuple(lengths))
