"""Marks on single frames of a film: dust, hairs, blotches. Each is an opacity and a brightness `(h, w)`."""

from collections.abc import Iterator

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from torch.nn import functional as F

from .chance import drawn, lognormal

Points = np.ndarray
"""`(n, 2)`: x, y in pixels."""
Mark = tuple[Tensor, float]
SAMPLES = 4
"""Samples per pixel and side, against jagged outlines."""
HAIRS, DARK, STEP = 0.25, 0.5, 1.5
"""Shares of hairs among dust and of dark marks; length of a hair's pieces in pixels."""


def dust(seed: int, frame: int, rate: float, size: tuple[int, int]) -> Iterator[Mark]:
    """Yields the specks and hairs of one frame. rate: their mean number in a picture of 256 x 192 pixels.

    Their number grows with the height of a picture of the same width, so that their density is the same.
    """
    random, scale = drawn(seed, "dust", frame), size[1] / 256
    expected = rate * size[0] / (size[1] * 0.75)
    for _ in range(random.poisson(expected)):
        middle = random.uniform(0, 1, 2) * (size[1], size[0])
        shapes = _hair(random, middle, scale) if random.random() < HAIRS else _speck(random, middle, scale)
        opacity = _drawn_shapes(shapes, size) * random.uniform(0.7, 1.0)
        yield opacity, float(random.uniform(0, 0.12) if random.random() < DARK else random.uniform(0.85, 1))


def blotches(seed: int, frame: int, rate: float, size: tuple[int, int]) -> Iterator[Mark]:
    """Yields the blotches of one frame: irregular stains of 8 to 40 pixels. rate: their mean number."""
    random, scale = drawn(seed, "blotches", frame), size[1] / 256
    for _ in range(random.poisson(rate)):
        middle, radius = random.uniform(0, 1, 2) * (size[1], size[0]), scale * lognormal(random, 9, 0.35)
        angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
        waves = [random.normal(0, 0.55 / n) * np.cos(n * angles + random.uniform(0, 2 * np.pi)) for n in range(2, 8)]
        outline = radius * np.clip(1 + np.sum(waves, axis=0), 0.25, 2)
        points = middle + outline[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1)
        opacity = _drawn_shapes([(points, 0.0)], size) * random.uniform(0.5, 1.0)
        yield opacity, float(random.uniform(0, 0.25) if random.random() < DARK else random.uniform(0.75, 1))


def marked(picture: Tensor, marks: Iterator[Mark]) -> Tensor:
    """A picture `(3, h, w)` with marks over it."""
    for opacity, brightness in marks:
        picture = picture.lerp(torch.full_like(picture, brightness), opacity)
    return picture


def _speck(random: np.random.Generator, middle: Points, scale: float) -> list[tuple[Points, float]]:
    """A few overlapping ellipses, as filled outlines."""
    radius, shapes = scale * lognormal(random, 2.2, 0.5), []
    angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    for _ in range(random.integers(1, 4)):
        axes = np.maximum(0.6, radius * random.uniform(0.6, 1.4, 2))
        turn, centre = random.uniform(0, np.pi), middle + random.normal(0, radius, 2)
        flat = axes[:, None] * np.stack([np.cos(angles), np.sin(angles)])
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        shapes.append((centre + (rotation @ flat).T, 0.0))
    return shapes


def _hair(random: np.random.Generator, middle: Points, scale: float) -> list[tuple[Points, float]]:
    """A line that bends slowly, with its width."""
    bends = random.normal(0, 0.06) + np.cumsum(random.normal(0, 0.02, random.integers(12, 50)))
    angles = random.uniform(0, 2 * np.pi) + np.cumsum(bends)
    steps = STEP * scale * np.stack([np.cos(angles), np.sin(angles)], 1)
    return [(middle + np.cumsum(steps, 0), scale * float(random.uniform(0.8, 1.8)))]


def _drawn_shapes(shapes: list[tuple[Points, float]], size: tuple[int, int]) -> Tensor:
    """Opacity `(h, w)` of outlines (width 0) and lines, with soft edges."""
    everything = np.concatenate([points for points, _ in shapes])
    margin = 3 + int(max(width for _, width in shapes))
    low = np.maximum(0, np.floor(everything.min(0)).astype(int) - margin)
    high = np.minimum((size[1], size[0]), np.ceil(everything.max(0)).astype(int) + margin)
    opacity = torch.zeros(size)
    if (high <= low).any():
        return opacity
    wide, tall = (int(side) * SAMPLES for side in high - low)
    image = Image.new("L", (wide, tall))
    pen = ImageDraw.Draw(image)
    for points, width in shapes:
        path = [(float(x), float(y)) for x, y in (points - low) * SAMPLES]
        if width:
            pen.line(path, fill=255, width=max(1, round(width * SAMPLES)), joint="curve")
        else:
            pen.polygon(path, fill=255)
    drawing = torch.from_numpy(np.asarray(image.reduce(SAMPLES)).astype(np.float32) / 255)
    soft = F.avg_pool2d(F.pad(drawing[None, None], (1,) * 4), 3, stride=1)[0, 0]
    opacity[low[1] : high[1], low[0] : high[0]] = 0.5 * (drawing + soft)
    return opacity
