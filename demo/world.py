"""Procedural world: training data of the embedded model, and ground truth of its quality metrics.

The picture is a torus (a shape that leaves at the right enters at the left), so a shot of any length has a ground truth. One
coloured shape moves on a plain background in one of a few directions; a short fading trail makes its direction visible in a
single frame. Positions, sizes and speeds are in picture widths and seconds, independent of picture size and frame rate.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .words import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, write_caption
from .words import RATES as RATES

FPS = 8.0
TRAIL = 3
"""Number of earlier positions in the trail of a moving shape, a sixteenth of a second apart, each fainter."""


@dataclass(frozen=True)
class Scene:
    """Parameters of a clip of this world."""

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
    """Draws a random scene; keywords fix parameters."""

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
    """Renders frames `first` .. `first + frames - 1` of a scene, `(f, 3, size, size)` in [0, 1].

    rest   whether the shape is still until time 0, so that frame 0 has no trail, as in a drawn picture
    """
    ink = torch.tensor(COLOURS[scene.colour])[:, None, None]
    picture = torch.full((frames, 3, size, size), BACKGROUNDS[scene.background])
    times = (torch.arange(frames) + first) / fps
    ghosts = range(TRAIL, 0, -1) if any(MOTIONS[scene.motion]) else ()
    for ghost in (*ghosts, 0):
        earlier = times - ghost / 16
        cover = _cover(scene, earlier.clamp(min=0) if rest else earlier, size)[:, None]  # (f, 1, s, s)
        cover = cover * (1.0 if ghost == 0 else 0.34 * (1 - (ghost - 1) / TRAIL))
        picture = picture * (1 - cover) + ink * cover
    return picture


def centre(scene: Scene, times: Tensor) -> Tensor:
    """Centre of the shape at each time (x, y), `(f, 2)` in [0, 1)."""
    velocity = torch.tensor(MOTIONS[scene.motion]) * scene.speed
    return (torch.tensor([scene.x, scene.y]) + times[:, None] * velocity) % 1


def _cover(scene: Scene, times: Tensor, size: int) -> Tensor:
    """Coverage of each pixel by the shape, `(f, size, size)` in [0, 1], antialiased over one pixel."""
    line = (torch.arange(size) + 0.5) / size
    x, y = centre(scene, times).T
    dx = (line[None] - x[:, None] + 0.5) % 1 - 0.5  # (f, s), shortest distance on the torus
    dy = (line[None] - y[:, None] + 0.5) % 1 - 0.5
    outside = signed_distance(scene.shape, dx[:, None, :], dy[:, :, None], scene.size)
    return (0.5 - outside * size).clamp(0, 1)


def signed_distance(shape: str, dx: Tensor, dy: Tensor, size: float) -> Tensor:
    """Signed distance to the outline, positive outside; shapes of one size have the same area, pi * size^2."""
    if shape == "circle":
        return (dx**2 + dy**2).sqrt() - size
    if shape == "square":
        half = size * (torch.pi**0.5) / 2
        return torch.maximum(dx.abs(), dy.abs()) - half
    inradius = size * (torch.pi / (3 * 3**0.5)) ** 0.5  # an upright triangle about its centre of mass
    slope = (3**0.5 / 2) * dx.abs() - 0.5 * dy
    return torch.maximum(dy.expand_as(slope), slope) - inradius
