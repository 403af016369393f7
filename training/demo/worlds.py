"""The procedural worlds that the stages draw from."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...demo import lively_world, world
from ...demo.world import MOTIONS, Scene
from .captions import caption_of, lively_caption_of


@dataclass(frozen=True)
class World:
    """Functions of a procedural world; `Any` stands for its class of scenes."""

    draw: Callable[[torch.Generator], Any]
    film: Callable[..., Tensor]
    """(scene, frames, size, fps, *, rest, device) -> frames `(f, 3, size, size)` in [0, 1]."""
    moves: Callable[[Any], bool]
    """Whether frames of a scene differ."""
    caption: Callable[[Any, int, float, torch.Generator], str]
    """(scene, frame rate, probability of a loose caption, generator) -> prompt."""


def _film(
    scene: Scene, frames: int, size: int, fps: float = world.FPS, *, rest: bool = False, device: Any = "cpu"
) -> Tensor:  # fmt: skip
    return world.film(scene, frames, size, fps, rest=rest).to(device)


PLAIN = World(world.draw, _film, lambda scene: any(MOTIONS[scene.motion]), caption_of)
LIVELY = World(
    lively_world.draw, lively_world.film, lambda scene: scene.moves, lively_caption_of
)  # fmt: skip
