"""Captions of training scenes: complete, or with words left out and reordered."""

import torch

from ...demo.lively_world import LivelyScene
from ...demo.world import Scene

KEPT = 0.75
"""Probability that a part is in a loose caption."""
SHUFFLED = 0.5
"""Share of the loose captions whose parts are in random order."""


def caption_of(scene: Scene, fps: int, loose: float, generator: torch.Generator) -> str:
    """Draws a scene's caption with its frame rate.

    loose   probability of a loose caption, without some of colour, shape, motion, background, article and rate
    """

    def chance(share: float) -> bool:
        return float(torch.rand((), generator=generator)) < share

    rate = f"at {fps} fps"
    if not chance(loose):
        return f"{scene.caption} {rate}"
    parts = [part for part in (scene.colour, scene.shape, scene.motion, f"on {scene.background}") if chance(KEPT)]
    if chance(SHUFFLED):
        parts = [parts[index] for index in torch.randperm(len(parts), generator=generator).tolist()]
    return " ".join([*(["a"] if chance(KEPT) else []), *parts, *([rate] if chance(KEPT) else [])])


def lively_caption_of(scene: LivelyScene, fps: int, loose: float, generator: torch.Generator) -> str:
    """Draws a lively scene's caption with its frame rate.

    loose   probability of a loose caption, without some words of its objects, ground and rate, and objects in any order
    """

    def chance(share: float) -> bool:
        return float(torch.rand((), generator=generator)) < share

    rate = f"at {fps} fps"
    if not chance(loose):
        return f"{scene.caption} {rate}"
    objects = [" ".join(["a", *(word for word in item.words if chance(KEPT))]) for item in scene.objects]
    if chance(SHUFFLED):
        objects.reverse()
    rest = [part for part in (f"on {scene.background}", rate) if chance(KEPT)]
    return " ".join([" and ".join(objects), *rest])
