"""Detector of objects, grounds and motions in clips of the lively world, by the measures of `demo/detector.py`.

Objects are found by colour, as two objects of a scene differ in it: a shape or a direction counts for the colour that has it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from .detector import centred, circular_mean, displacements, most_frequent, motion_of, shape_of
from .lively_world import DIRECTIONS, GROUNDS, ground_colour
from .words import COLOURS

SATURATED = 0.37
"""Least difference of the channels in an object; grounds and trails reach 0.36."""
LEAST = 0.01
"""Least share of the picture of an object; the smallest one of the world covers 0.025."""
PRESENT = 0.5
"""Least share of the frames with a colour that counts as an object of the clip."""


@dataclass(frozen=True)
class FoundObject:
    """Measured object of a clip."""

    colour: str
    shape: str
    """That of most frames with the object."""
    motion: str
    """One of the world's, or "jumping"."""
    shapes: tuple[str, ...]
    """Per frame; "none" without the object."""
    track: Tensor
    """Centres in the frames with the object, `(n, 2)` in [0, 1)."""
    velocity: tuple[float, float]
    """Mean, in picture widths per frame."""
    jerk: float
    """Root mean square of the second difference of the track, in picture widths per frame squared."""


@dataclass(frozen=True)
class LivelyDetection:
    """Measured objects and ground of a clip."""

    objects: tuple[FoundObject, ...]
    background: str
    counts: tuple[int, ...]
    """Number of objects in each frame."""

    def of(self, colour: str) -> FoundObject | None:
        """The object of a colour."""
        return next((item for item in self.objects if item.colour == colour), None)


def detect(clip: Tensor) -> LivelyDetection:
    """Measures a clip `(f, 3, h, w)` in [0, 1] of at least one frame."""
    masks = colour_masks(clip)  # (colours, f, h, w)
    present = masks.float().mean((2, 3)) >= LEAST  # (colours, f)
    found = (
        _measured(colour, mask[here].float(), here)
        for colour, mask, here in zip(COLOURS, masks, present, strict=True)
        if here.float().mean() >= PRESENT
    )
    return LivelyDetection(tuple(found), _background(clip, masks.any(0)), tuple(present.sum(0).tolist()))


def colour_masks(clip: Tensor) -> Tensor:
    """Whether each pixel is saturated and nearest to each colour in hue, `(colours, f, h, w)`."""
    inks = _hue(torch.tensor(list(COLOURS.values())))
    pixels = rearrange(clip, "f c h w -> f h w c")
    nearest = (_hue(pixels) @ inks.T).argmax(-1)
    saturated = pixels.amax(-1) - pixels.amin(-1) > SATURATED
    return torch.stack([(nearest == index) & saturated for index in range(len(COLOURS))])


def _hue(colours: Tensor) -> Tensor:
    """Unit vectors of colours `(..., 3)` without their grey."""
    rest = colours - colours.mean(-1, keepdim=True)
    return rest / rest.norm(dim=-1, keepdim=True).clamp(min=1e-6)


def _measured(colour: str, masks: Tensor, here: Tensor) -> FoundObject:
    """Measures an object. masks: of the frames with it `(n, h, w)`; here: which frames have it `(f,)`"""
    track = circular_mean(masks)
    numbers = iter([shape_of(mask) for mask in centred(masks, track)])
    shapes = tuple(next(numbers) if there else "none" for there in here.tolist())
    step = displacements(track)
    velocity = step.mean(0) if len(step) else torch.zeros(2)
    return FoundObject(
        colour=colour,
        shape=most_frequent(tuple(_without(shapes, "none")) or ("none",)),
        motion=motion_of(step, DIRECTIONS),
        shapes=shapes,
        track=track,
        velocity=(float(velocity[0]), float(velocity[1])),
        jerk=float(step.diff(dim=0).square().sum(-1).mean().sqrt()) if len(step) > 1 else 0.0,
    )


def _without(names: Iterable[str], name: str) -> list[str]:
    return [one for one in names if one != name]


def _background(clip: Tensor, covered: Tensor) -> str:
    """Name of the ground whose mean colour is nearest to the median of the pixels without an object."""
    pixels = rearrange(clip, "f c h w -> (f h w) c")[~covered.flatten()]
    if not len(pixels):
        return "none"
    means = torch.stack([ground_colour(kind) for kind in GROUNDS])
    return GROUNDS[int((means - pixels.median(0).values).norm(dim=-1).argmin())]
