"""A second procedural world, for 128 px: one or two shaded objects, eight directions, pictured grounds.

As in `demo/world.py` the picture is a torus and every property of a scene is known. Two objects of a scene have different
colours, and do not touch in the first `APART` seconds. Grounds are periodic in both directions and do not move; the light comes
from the upper left.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from math import pi

import torch
from torch import Tensor

from .words import BACKGROUNDS, COLOURS, SHAPES
from .world import FPS, TRAIL, Scene, signed_distance

DIRECTIONS: dict[str, tuple[float, float]] = {
    "moving right": (1.0, 0.0),
    "moving left": (-1.0, 0.0),
    "moving up": (0.0, -1.0),
    "moving down": (0.0, 1.0),
    "moving up right": (0.5**0.5, -(0.5**0.5)),
    "moving up left": (-(0.5**0.5), -(0.5**0.5)),
    "moving down right": (0.5**0.5, 0.5**0.5),
    "moving down left": (-(0.5**0.5), 0.5**0.5),
    "standing still": (0.0, 0.0),
}
"""Caption -> unit velocity (x right, y down)."""
GROUNDS = (*BACKGROUNDS, "sky", "sea", "night")
SIDE = 128
"""Picture side of training."""
APART = 3.75
"""Seconds from time 0 in which two objects do not touch: the length of a training shot."""
MARGIN = 0.03
"""Least distance between the outlines of two objects in that time, in picture widths."""
REACH = {"circle": 1.0, "square": (pi / 2) ** 0.5, "triangle": 2 * (pi / 3**1.5) ** 0.5}
"""Largest distance from an object's centre to its outline, over its size."""
WORDS = tuple(sorted({"a", "and", "on", "at", "fps", *COLOURS, *SHAPES, *GROUNDS, *" ".join(DIRECTIONS).split()}))
"""Words of its captions, without frame rates."""
TRIES = 500


@dataclass(frozen=True)
class SceneObject:
    """One object of a scene."""

    colour: str
    shape: str
    motion: str
    x: float
    y: float
    """Centre at time 0, in [0, 1)."""
    size: float
    """Radius of the circle of the same area, in picture widths."""
    speed: float
    """Picture widths per second, where the motion has a direction."""

    @property
    def velocity(self) -> Tensor:
        """Picture widths per second (x right, y down), `(2,)`."""
        return torch.tensor(DIRECTIONS[self.motion]) * self.speed

    @property
    def words(self) -> tuple[str, str, str]:
        return self.colour, self.shape, self.motion

    def track(self, times: Tensor) -> Tensor:
        """Centre at each time in seconds (x, y), `(f, 2)` in [0, 1)."""
        start, velocity = torch.tensor([self.x, self.y]), self.velocity
        return (start.to(times.device) + times[:, None] * velocity.to(times.device)) % 1


@dataclass(frozen=True)
class LivelyScene:
    """Parameters of a clip of this world."""

    objects: tuple[SceneObject, ...]
    """One or two; a later one is drawn over an earlier one."""
    background: str

    @property
    def caption(self) -> str:
        """ "a red circle moving up and a blue square standing still on sky"."""
        return f"{' and '.join(' '.join(('a', *item.words)) for item in self.objects)} on {self.background}"

    @property
    def moves(self) -> bool:
        return any(any(DIRECTIONS[item.motion]) for item in self.objects)

    @classmethod
    def of(cls, scene: Scene) -> "LivelyScene":
        """The same scene as one of the plain world."""
        item = SceneObject(scene.colour, scene.shape, scene.motion, scene.x, scene.y, scene.size, scene.speed)
        return cls((item,), scene.background)


def draw(
    generator: torch.Generator, count: int | None = None, motions: tuple[str, ...] = (), background: str | None = None
) -> LivelyScene:
    """Draws a random scene.

    count     1 or 2 objects; None: drawn, each with probability 1/2
    motions   of the objects in turn; those that it lacks are drawn
    Raises ValueError where no two objects with these motions were found that stay apart.
    """

    def index(options: int) -> int:
        return int(torch.randint(options, (), generator=generator))

    count = 1 + index(2) if count is None else count
    ground = GROUNDS[index(len(GROUNDS))] if background is None else background
    colours = [list(COLOURS)[place] for place in torch.randperm(len(COLOURS), generator=generator)[:count].tolist()]
    chosen = [motions[place] if place < len(motions) else list(DIRECTIONS)[index(len(DIRECTIONS))] for place in range(count)]
    shapes = [SHAPES[index(len(SHAPES))] for _ in range(count)]
    sizes, speeds = ((0.15, 0.21), (0.25, 0.55)) if count == 1 else ((0.09, 0.12), (0.12, 0.32))
    for _ in range(TRIES):
        values = torch.rand(count, 4, generator=generator).tolist()
        objects = tuple(
            SceneObject(*words, x, y, _between(size, *sizes), _between(speed, *speeds))
            for words, (x, y, size, speed) in zip(zip(colours, shapes, chosen, strict=True), values, strict=True)
        )
        if count == 1 or apart(*objects):
            return LivelyScene(objects, ground)
    raise ValueError(
        f"motions: no two objects {' and '.join(chosen)} stay apart for {APART:g} s in {TRIES} draws; choose others"
    )


def apart(one: SceneObject, other: SceneObject) -> bool:
    """Whether two objects keep their distance from time 0 to `APART`."""
    times = torch.linspace(0, APART, 65)
    gap = (one.track(times) - other.track(times) + 0.5) % 1 - 0.5
    least = one.size * REACH[one.shape] + other.size * REACH[other.shape] + MARGIN
    return bool((gap.norm(dim=-1) > least).all())


def film(
    scene: LivelyScene, frames: int, size: int, fps: float = FPS, first: int = 0, rest: bool = False,
    device: str | torch.device = "cpu",
) -> Tensor:  # fmt: skip
    """Renders frames `first` .. `first + frames - 1` of a scene, `(f, 3, size, size)` in [0, 1].

    rest   whether objects are still until time 0, so that frame 0 has no trail, as in a drawn picture
    """
    times = (torch.arange(frames, device=device) + first) / fps
    picture = ground(scene.background, size).to(device).expand(frames, -1, -1, -1)
    for item in scene.objects:
        offsets = _offsets(item, times, size)
        outside = signed_distance(item.shape, offsets[0] - 0.02, offsets[1] - 0.03, item.size)
        picture = picture * (1 - 0.3 * torch.sigmoid(-outside * 60))[:, None]  # a soft shadow on the lower right
    for item in scene.objects:
        ink = torch.tensor(COLOURS[item.colour], device=device)[:, None, None]
        for ghost in range(TRAIL, 0, -1) if any(DIRECTIONS[item.motion]) else ():
            earlier = times - ghost / 16
            cover, _ = _drawn(item, earlier.clamp(min=0) if rest else earlier, size)
            picture = picture.lerp(ink, 0.22 * (1 - (ghost - 1) / TRAIL) * cover)
        cover, (shade, light) = _drawn(item, times, size)
        picture = picture.lerp((ink * shade).lerp(torch.ones_like(ink), light), cover)
    return picture.clamp(0, 1)


@cache
def ground(kind: str, size: int) -> Tensor:
    """A ground, `(3, size, size)` in [0, 1], periodic in both directions. Callers must not write into it."""
    if kind in BACKGROUNDS:
        return torch.full((3, size, size), BACKGROUNDS[kind])
    line = (torch.arange(size) + 0.5) / size
    return _PICTURED[kind](line[None, :], line[:, None])


def ground_colour(kind: str) -> Tensor:
    """Mean colour of a ground, `(3,)`."""
    return ground(kind, 32).mean((1, 2))


def _between(share: float, low: float, high: float) -> float:
    return low + (high - low) * share


def _offsets(item: SceneObject, times: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Shortest distances on the torus of each pixel from the object's centre, `(f, 1, size)` and `(f, size, 1)`."""
    line = (torch.arange(size, device=times.device) + 0.5) / size
    away = (line[None, None] - item.track(times).T[..., None] + 0.5) % 1 - 0.5  # (2, f, s)
    return away[0][:, None, :], away[1][:, :, None]


def _drawn(item: SceneObject, times: Tensor, size: int) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Coverage of each pixel by the object, and its brightness and highlight, `(f, 1, size, size)` each."""
    dx, dy = _offsets(item, times, size)
    cover = (0.5 - signed_distance(item.shape, dx, dy, item.size) * size).clamp(0, 1)
    x, y = dx / item.size, dy / item.size
    shade = (0.94 - 0.17 * (0.6 * x + 0.8 * y)).clamp(0.72, 1.06)
    light = 0.34 * torch.exp(-((x + 0.3) ** 2 + (y + 0.32) ** 2) / 0.16)
    return cover[:, None], (shade[:, None], light[:, None])


def _mixed(low: tuple[float, ...], high: tuple[float, ...], share: Tensor) -> Tensor:
    """Mixture of two colours, `(3, h, w)`, for shares `(h, w)` of the second one."""
    return torch.tensor(low)[:, None, None].lerp(torch.tensor(high)[:, None, None], share)


def _sky(x: Tensor, y: Tensor) -> Tensor:
    """Blue above and pale below, with clouds."""
    air = _mixed((0.62, 0.75, 0.87), (0.84, 0.88, 0.92), (0.5 - 0.5 * torch.cos(2 * pi * y)).expand(y.shape[0], x.shape[1]))
    clouds = torch.zeros(y.shape[0], x.shape[1])
    for left, top, wide in ((0.22, 0.2, 0.085), (0.32, 0.17, 0.065), (0.14, 0.215, 0.055), (0.72, 0.55, 0.08),
                            (0.82, 0.53, 0.06), (0.63, 0.565, 0.055), (0.35, 0.83, 0.06), (0.43, 0.815, 0.045)):  # fmt: skip
        dx, dy = (x - left + 0.5) % 1 - 0.5, (y - top + 0.5) % 1 - 0.5
        clouds = torch.maximum(clouds, torch.exp(-((dx / wide) ** 2) - (dy / (0.5 * wide)) ** 2))
    return air.lerp(torch.full_like(air, 0.97), (1.5 * clouds).clamp(0, 0.9))


def _sea(x: Tensor, y: Tensor) -> Tensor:
    """Teal with rows of bent waves."""
    bent = y + 0.016 * torch.sin(2 * pi * 2 * x) + 0.005 * torch.sin(2 * pi * (5 * x + y))
    wave = 0.5 + 0.5 * torch.cos(2 * pi * 6 * bent)
    deep = _mixed((0.17, 0.35, 0.42), (0.29, 0.49, 0.54), wave)
    patches = 0.5 + 0.5 * torch.sin(2 * pi * (3 * x + y)) * torch.cos(2 * pi * (x - 2 * y))
    return deep.lerp(torch.full_like(deep, 0.8), 0.55 * wave**8 * patches)


def _night(x: Tensor, y: Tensor) -> Tensor:
    """Dark blue with stars."""
    air = _mixed((0.05, 0.06, 0.17), (0.12, 0.12, 0.27), (0.5 - 0.5 * torch.cos(2 * pi * y)).expand(y.shape[0], x.shape[1]))
    stars = torch.zeros(y.shape[0], x.shape[1])
    for number in range(26):  # points of a lattice that looks irregular
        left, top = (0.5 + number * 0.7549) % 1, (0.5 + number * 0.5698) % 1
        dx, dy = (x - left + 0.5) % 1 - 0.5, (y - top + 0.5) % 1 - 0.5
        stars = torch.maximum(stars, (0.5 + 0.5 * (number % 3 == 0)) * torch.exp(-(dx**2 + dy**2) / 0.00007))
    return air.lerp(torch.tensor([0.95, 0.95, 0.88])[:, None, None].expand_as(air), stars)


_PICTURED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"sky": _sky, "sea": _sea, "night": _night}
