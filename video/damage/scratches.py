"""Scratches: near-vertical lines that stay for many frames and wander, with Kokaram's profile of a damped sinusoid."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .chance import drawn

EPOCH, SHORTEST, LONGEST = 48, 8, 240
"""Frames between two draws of new lines; shortest and longest life of one in frames."""
MEAN_LIFE = 72.0
WANDER, ROUGH = 0.35, 25
"""Step to the side per frame, and correlation length of the roughness, in pixels of a picture 256 wide."""


@dataclass(frozen=True)
class Line:
    """One scratch in one frame, in shares of width and height, where no unit is given."""

    position: float
    tilt: float
    """Pixels to the side per pixel down."""
    width: float
    """In pixels of a picture 256 wide."""
    amplitude: float
    """Change of brightness in the middle; negative is dark."""
    top: float
    bottom: float
    rough: Tensor
    """Factor along the line, `(n,)`."""


def lines_at(seed: int, frame: int, rate: float) -> Iterator[Line]:
    """Yields the lines of one frame. rate: their mean number."""
    epochs = range((frame - LONGEST) // EPOCH, frame // EPOCH + 1)
    for epoch in epochs:
        random = drawn(seed, "lines", epoch)
        for number in range(random.poisson(rate * EPOCH / MEAN_LIFE)):
            born = epoch * EPOCH + int(random.integers(EPOCH))
            life = int(np.clip(random.exponential(MEAN_LIFE), SHORTEST, LONGEST))
            if born <= frame < born + life:
                yield _line(drawn(seed, "line", epoch, number), frame - born)


def _line(random: np.random.Generator, age: int) -> Line:
    position, tilt = random.uniform(0.03, 0.97), random.normal(0, 0.01)
    width, amplitude = random.uniform(0.5, 1.1), random.uniform(0.18, 0.45) * random.choice([-1, 1])
    top, bottom = (0.0, 1.0) if random.random() < 0.6 else sorted(random.uniform(0, 1, 2))
    noise = random.normal(0, 1, 1024)
    smooth = np.convolve(np.concatenate([noise, noise[: ROUGH - 1]]), np.full(ROUGH, 1 / ROUGH), "valid") * ROUGH**0.5
    walk = random.normal(0, WANDER, LONGEST)[:age].sum() / 256
    rough = np.clip(1 + 0.5 * np.roll(smooth, -7 * age), 0.2, 1.6)
    return Line(position + walk, tilt, width, amplitude, top, bottom, torch.from_numpy(rough.astype(np.float32)))


def scratched(picture: Tensor, lines: Iterator[Line]) -> Tensor:
    """A picture `(3, h, w)` with lines added."""
    height, width = picture.shape[1:]
    scale = width / 256
    x, y = torch.arange(width)[None], torch.arange(height)[:, None]
    for line in lines:
        centre = line.position * width + line.tilt * (y - height / 2)
        distance = (x - centre) / (line.width * scale)
        profile = torch.exp(-(distance**2) / 2) * torch.cos(1.2 * distance)
        along = line.rough[(y[:, 0] / scale).long() % len(line.rough)]
        inside = (y[:, 0] >= line.top * height) & (y[:, 0] < line.bottom * height)
        picture = picture + line.amplitude * profile * (along * inside)[:, None]
    return picture.clamp(0, 1)
