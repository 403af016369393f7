"""The procedural world that the embedded model learns and that every quality figure is measured on.

Its law: the picture is a torus (what leaves right enters left), so a shot of any length has ground truth. One coloured shape on
a plain background moves in one of a few ways; a short fading trail behind it makes its direction visible in a single frame.
Positions, sizes and speeds are in picture widths and seconds, so any picture size and frame rate shows the same scene.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .words import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, write_caption
from .words import RATES as RATES

FPS = 8.0
TRAIL = 3
"""Ghosts of earlier moments behind a moving shape, a sixteenth of a second apart, each fainter."""


@dataclass(frozen=True)
class Scene:
    """Everything that a clip of this world is made of."""

    colour: str
    shape: str
    motion: str
    background: str
    x: float
    y: float
    """Centre at time 0, in [0, 1)."""
    size: float
    """Radius of the circle of the same area."""
    speed: float
    """Picture widths per second, where the motion has a direction."""

    @property
    def caption(self) -> str:
        return write_caption({name: getattr(self, name) for name in ("colour", "shape", "motion", "background")})


def draw(generator: torch.Generator, **fixed: Any) -> Scene:
    """A random scene; keywords fix what they name."""

    def choice(options: Any) -> str:
        names = list(options)
        return names[int(torch.randint(len(names), (), generator=generator))]

    def between(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    drawn = {
        "colour": choice(COLOURS),
        "shape": choice(SHAPES),
        "motion": choice(MOTIONS),
        "background": choice(BACKGROUNDS),
        "x": between(0, 1),
        "y": between(0, 1),
        "size": between(0.15, 0.21),
        "speed": between(0.25, 0.55),
    }
    return Scene(**{**drawn, **fixed})


def film(scene: Scene, frames: int, size: int, fps: float = FPS, first: int = 0, rest: bool = False) -> Tensor:
    """Frames `first` .. `first + frames - 1` of a scene, `(f, 3, size, size)` in [0, 1].

    rest   the shape stood still until time 0: frame 0 has no trail, as a drawn picture has none
    """
    ink = torch.tensor(COLOURS[scene.colour])[:, None, None]
    picture = torch.full((frames, 3, size, size), BACKGROUNDS[scene.background])
    times = (torch.arange(frames) + first) / fps
    ghosts = range(TRAIL, 0, -1) if any(MOTIONS[scene.motion]) else ()
    for ghost in (*ghosts, 0):
        then = times - ghost / 16
        cover = _cover(scene, then.clamp(min=0) if rest else then, size)[:, None]  # (f, 1, s, s)
        cover = cover * (1.0 if ghost == 0 else 0.34 * (1 - (ghost - 1) / TRAIL))
        picture = picture * (1 - cover) + ink * cover
    return picture


def centre(scene: Scene, times: Tensor) -> Tensor:
    """Where the shape is, `(f, 2)` in [0, 1)."""
    velocity = torch.tensor(MOTIONS[scene.motion]) * scene.speed
    return (torch.tensor([scene.x, scene.y]) + times[:, None] * velocity) % 1


def _cover(scene: Scene, times: Tensor, size: int) -> Tensor:
    """How much of each pixel the shape covers, `(f, size, size)`, edges smooth over one pixel."""
    line = (torch.arange(size) + 0.5) / size
    x, y = centre(scene, times).T
    dx = (line[None] - x[:, None] + 0.5) % 1 - 0.5  # (f, s), the short way round the torus
    dy = (line[None] - y[:, None] + 0.5) % 1 - 0.5
    outside = _distance(scene.shape, dx[:, None, :], dy[:, :, None], scene.size)
    return (0.5 - outside * size).clamp(0, 1)


def _distance(shape: str, dx: Tensor, dy: Tensor, size: float) -> Tensor:
    """Signed distance to the outline, positive outside; all shapes of one size have one area, pi * size^2."""
    if shape == "circle":
        return (dx**2 + dy**2).sqrt() - size
    if shape == "square":
        half = size * (torch.pi**0.5) / 2
        return torch.maximum(dx.abs(), dy.abs()) - half
    inradius = size * (torch.pi / (3 * 3**0.5)) ** 0.5  # an upright triangle about its centre of mass
    slope = (3**0.5 / 2) * dx.abs() - 0.5 * dy
    return torch.maximum(dy.expand_as(slope), slope) - inradius
