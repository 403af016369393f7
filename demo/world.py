"""The procedural world that the embedded model learns and that every quality figure is measured on.

Its law: the picture is a torus (what leaves right enters left), so a shot of any length has ground truth. One coloured shape on
a plain background moves in one of a few ways; a short fading trail behind it makes its direction visible in a single frame.
Positions, sizes and speeds are in picture widths and seconds, so any picture size and frame rate shows the same scene.
"""

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.92, 0.16, 0.16),
    "green": (0.16, 0.78, 0.24),
    "blue": (0.20, 0.34, 0.96),
    "yellow": (0.96, 0.88, 0.16),
    "cyan": (0.16, 0.86, 0.90),
    "magenta": (0.90, 0.22, 0.88),
}
BACKGROUNDS: dict[str, float] = {"black": 0.04, "grey": 0.36, "white": 0.96}
SHAPES = ("circle", "square", "triangle")
MOTIONS: dict[str, tuple[float, float]] = {
    "moving right": (1.0, 0.0),
    "moving left": (-1.0, 0.0),
    "moving up": (0.0, -1.0),
    "moving down": (0.0, 1.0),
    "standing still": (0.0, 0.0),
}
"""Caption -> unit velocity (x right, y down)."""

FPS = 8.0
RATES = (4, 8, 16)
"""Frame rates that the embedded model is conditioned on, as words of the prompt ("... at 8 fps")."""
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


def write_caption(said: dict[str, str]) -> str:
    """The prompt of this grammar that says `colour`, `shape`, `motion` and `background`, or those of them that are given."""
    ground = f"on {said['background']}" if "background" in said else ""
    words = ("a", *(said.get(kind, "") for kind in ("colour", "shape", "motion")), ground)
    return " ".join(filter(None, words))


def read_caption(text: str) -> tuple[dict[str, str], list[str]]:
    """What a prompt asks of this world, and the words in it that mean nothing here."""
    rest, found = f" {text.lower()} ", {}
    kinds = (("colour", COLOURS), ("shape", SHAPES), ("motion", MOTIONS), ("background", BACKGROUNDS))
    for kind, options in kinds:
        first = re.search(rf"\b({'|'.join(options)})\b", rest)
        if first:
            found[kind] = first[1]
            rest = rest[: first.start()] + " " + rest[first.end() :]
    ignored = [word for word in re.findall(r"[^\W_]+", rest) if word not in {"a", "an", "the", "on", "is", "background"}]
    return found, ignored


def read_rate(text: str) -> tuple[str, int | None]:
    """A prompt without its "at 8 fps", and the number in it where there is one."""
    told = re.search(r",?\s*\bat\s+(\d+)\s*fps\b", text, re.IGNORECASE)
    return (text[: told.start()] + text[told.end() :], int(told[1])) if told else (text, None)


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
