"""Sources of a live shot: a video file, and a folder into which another program writes pictures."""

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional as F

from ..io import containers
from ..io.picture import of_pixels
from ..io.read import Part, facts_of, frames_of
from .feed import Arrived, Note

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
SMALLEST = 8
"""Pixels per side below which a picture is not used."""
POLL = 0.04
"""Seconds between two looks into a folder."""
STALLED = 5.0
"""Seconds without a frame after which the user is informed."""
SETTLED = 1.0
"""Seconds after which a file that cannot be read is regarded as damaged, not as one that is being written."""


@torch.inference_mode()
def fitted(picture: Tensor, size: tuple[int, int]) -> Tensor:
    """Scales a picture `(3, h, w)` to a size (width, height); what does not fit its shape is cut off evenly."""
    height, width = picture.shape[-2:]
    if (width, height) == size:
        return picture
    factor = max(size[0] / width, size[1] / height)
    scaled = max(size[0], round(width * factor)), max(size[1], round(height * factor))
    large = F.interpolate(picture[None], scaled[::-1], mode="bicubic", antialias=True, align_corners=False)[0].clamp(0, 1)
    left, top = ((have - want) // 2 for have, want in zip(scaled, size, strict=True))
    return large[:, top : top + size[1], left : left + size[0]].contiguous()


@dataclass(frozen=True)
class VideoFile:
    """A video file, as fast as the model takes it, or at its own pace."""

    file: containers.Source
    size: tuple[int, int]
    """Width and height of the frames."""
    paced: bool = False
    """Whether frames arrive at the rate of the video; else each one is used."""
    start: int = 0
    """Number of the first frame, within the part."""
    part: Part = Part()

    @property
    def waits(self) -> bool:
        return not self.paced

    def check(self) -> float:
        """Frames per second. Raises ValueError for a file that cannot be read, and for pictures that are too small."""
        facts = facts_of(self.file, self.part)
        if min(facts.width, facts.height) < SMALLEST:
            raise ValueError(
                f"{containers.name_of(self.file)}: expected {SMALLEST} pixels or more per side, got "
                f"{facts.width}x{facts.height}; choose another video"
            )
        return float(facts.fps)

    def arrivals(self, stopped: Callable[[float], bool], most: int) -> Iterator[Arrived | Note]:
        fps, begun = self.check(), time.monotonic()
        for number, picture in enumerate(frames_of(self.file, self.part)):
            if number < self.start:
                continue
            due = begun + (number - self.start) / fps
            if self.paced and stopped(due - time.monotonic()):
                return
            yield Arrived(number, fitted(picture, self.size), time.monotonic())


@dataclass
class PictureFolder:
    """A folder into which another program writes pictures: each new or changed file is a frame, in order of its time.

    Files are neither changed nor removed. Pictures that are there already are regarded as one frame, the newest.
    """

    folder: Path
    size: tuple[int, int]
    """Width and height of the frames."""
    stalled: float = STALLED
    waits = False
    _newest: tuple[int, str] = (0, "")
    """Time and name of the newest file seen."""
    _number: int = -1
    _unread: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Files that could not be read: their time, and when that was found."""
    _sides: tuple[int, int] | None = None

    def arrivals(self, stopped: Callable[[float], bool], most: int) -> Iterator[Arrived | Note]:
        last, silent = time.monotonic(), False
        while not stopped(POLL):
            there = self.folder.is_dir()
            new = self._new_files(most) if there else []
            for number, path in enumerate(new, self._number + 1 - len(new)):
                picture = self._read(path)
                if picture is None:
                    continue
                yield from self._new_size(picture)
                if min(picture.shape[-2:]) < SMALLEST:
                    continue
                if silent:
                    yield Note("pictures arrive again")
                last, silent = time.monotonic(), False
                yield Arrived(number, fitted(picture, self.size), last)
            yield from map(Note, self._damaged())
            if not silent and time.monotonic() - last > self.stalled:
                silent = True
                reason = f"no new picture for {self.stalled:g} seconds" if there else "the folder of the pictures is not there"
                yield Note(f"{reason}; the last output stands, and the shot goes on when one arrives")

    def _new_files(self, most: int) -> list[Path]:
        """Files that are newer than all before, oldest first; the last `most`, of the first look one."""
        try:
            with os.scandir(self.folder) as entries:
                pictures = [one for one in entries if one.name.lower().endswith(PICTURES) and not one.name.startswith(".")]
                found = sorted((one.stat().st_mtime_ns, one.name) for one in pictures)
        except OSError:  # a file or the folder was removed meanwhile
            return []
        new = [one for one in found if one > self._newest]
        if not new:
            return []
        first, self._newest = self._newest == (0, ""), new[-1]
        self._number += 1 if first else len(new)
        return [self.folder / name for _, name in new[-1 if first else -most :]]

    def _read(self, path: Path) -> Tensor | None:
        """The picture, or None where it cannot be read yet."""
        try:
            with Image.open(path) as opened:
                upright = ImageOps.exif_transpose(opened).convert("RGBA")
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError):
            if len(self._unread) < 100:
                self._unread[path.name] = (_time(path), time.monotonic())
            return None
        black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        return of_pixels(np.array(Image.alpha_composite(black, upright).convert("RGB")))

    def _new_size(self, picture: Tensor) -> Iterator[Note]:
        """A message where the size differs from that of the picture before, or is too small."""
        sides, before = (picture.shape[-1], picture.shape[-2]), self._sides
        self._sides = sides
        if sides != before and min(sides) < SMALLEST:
            yield Note(f"a picture has {sides[0]}x{sides[1]} pixels, expected {SMALLEST} or more per side; it is left out")
        elif before not in (None, sides):
            yield Note(f"the pictures now have {sides[0]}x{sides[1]} pixels; they are fitted to {self.size[0]}x{self.size[1]}")

    def _damaged(self) -> Iterator[str]:
        """Messages about files that could not be read and have not changed since."""
        for name, (moment, found) in list(self._unread.items()):
            if time.monotonic() - found > SETTLED:
                del self._unread[name]
                if _time(self.folder / name) == moment:
                    yield f"{name} is not a picture that can be read (PNG, JPEG, WebP, BMP); it is left out"


def _time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1
