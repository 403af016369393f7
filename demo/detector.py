"""Detector of colour, shape, position and motion in clips of the procedural world.

Purely analytic (colour distance, moments, circular means), so that it is the same for every model and no model is trained
against it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import pi

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .world import BACKGROUNDS, COLOURS, MOTIONS

STILL = 0.006
"""Mean velocity, in picture widths per frame, below which a shape counts as still."""
JITTER = 0.02
"""Most movement of a still shape between frames, in picture widths."""
COHERENT = 0.6
"""Least ratio of mean velocity to mean speed of a steady motion; random jumps over 16 frames reach 0.26."""


FAINT = 0.25
"""Highest saturation of a frame without a shape."""
SPECK = 0.008
"""Least share of the picture of a separate area that counts as a shape; the smallest shape of the world covers 0.07."""


@dataclass(frozen=True)
class Detection:
    """Measured track, colour and shape of a clip."""

    colour: str
    """The colour of most frames."""
    shape: str
    background: str
    motion: str
    """One of the world's, or "jumping"."""
    colours: tuple[str, ...]
    """Per frame; "none" without a shape."""
    shapes: tuple[str, ...]
    track: Tensor
    """Centres, `(f, 2)` in [0, 1)."""
    velocity: tuple[float, float]
    """Mean, in picture widths per frame."""
    jerk: float
    """Root mean square of the second difference of the track, in picture widths per frame squared."""
    drift: float
    """Largest distance in RGB between the shape's colour in a frame and in the first quarter of the clip."""
    objects: tuple[int, ...]
    """Number of separate shapes in each frame, without trails."""


def detect(clip: Tensor) -> Detection:
    """Measures a clip `(f, 3, h, w)` in [0, 1] of at least one frame."""
    background = _background(clip)
    mask, inks = _mask(clip, torch.full((3,), BACKGROUNDS[background]))
    track = circular_mean(mask)
    colours = tuple(_nearest_colour(ink) if area > 8 else "none" for ink, area in zip(inks, mask.sum((1, 2)), strict=True))
    shapes = tuple(shape_of(m) for m in centred((mask > 0.2).float(), track))
    step = displacements(track)
    velocity = step.mean(0) if len(step) else torch.zeros(2)
    early = inks[: max(1, len(inks) // 4)].mean(0)
    return Detection(
        colour=most_frequent(colours),
        shape=most_frequent(shapes),
        background=background,
        motion=motion_of(step),
        colours=colours,
        shapes=shapes,
        track=track,
        velocity=(float(velocity[0]), float(velocity[1])),
        jerk=float(step.diff(dim=0).square().sum(-1).mean().sqrt()) if len(step) > 1 else 0.0,
        drift=float((inks - early).norm(dim=-1).max()),
        objects=tuple(_count(frame) for frame in clip),
    )


def circular_mean(mask: Tensor) -> Tensor:
    """Centres of masks `(f, h, w)` on the torus, `(f, 2)` as (x, y) in [0, 1)."""
    centres = []
    for axis in (1, 2):  # sum over y for x, over x for y
        weight = mask.sum(axis)  # (f, n)
        n = weight.shape[1]
        angle = 2 * pi * (torch.arange(n) + 0.5) / n
        mean = torch.atan2((weight * angle.sin()).sum(1), (weight * angle.cos()).sum(1))
        centres.append((mean / (2 * pi)) % 1)
    return torch.stack(centres, dim=-1)


def centred(mask: Tensor, track: Tensor) -> Tensor:
    """Rolls masks `(f, h, w)` so that each shape is centred in its picture."""
    h, w = mask.shape[1:]
    shifts = ((0.5 - track) * torch.tensor([w, h])).round().int().tolist()
    return torch.stack([m.roll((dy, dx), (0, 1)) for m, (dx, dy) in zip(mask, shifts, strict=True)])


def _background(clip: Tensor) -> str:
    """Name of the background grey that most pixels are nearest to."""
    greys = torch.tensor(list(BACKGROUNDS.values()))
    pixels = rearrange(clip, "f c h w -> (f h w) c")
    distance = (pixels[:, None] - greys[None, :, None]).norm(dim=-1)
    return list(BACKGROUNDS)[int(distance.argmin(1).bincount(minlength=len(greys)).argmax())]


def _mask(clip: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """Coverage of each pixel by the shape, `(f, h, w)` in [0, 1], and the shape's colour in each frame, `(f, 3)`.

    The colour is the mean of the most saturated pixels; trails, at most half as strong, count as background. Edges have partial
    coverage, for centres with subpixel precision.
    """
    pixels = rearrange(clip, "f c h w -> f (h w) c")
    saturation = pixels.amax(-1) - pixels.amin(-1)
    top = saturation.topk(max(8, pixels.shape[1] // 40), dim=1).indices
    inks = pixels.gather(1, top[..., None].expand(-1, -1, 3)).mean(1)  # (f, 3)
    span = inks - background
    along = ((pixels - background) * span[:, None]).sum(-1) / span.square().sum(-1, keepdim=True).clamp(min=1e-6)
    coverage = ((along - 0.5) / 0.5).clamp(0, 1) * (saturation.amax(1, keepdim=True) > FAINT)
    return rearrange(coverage, "f (h w) -> f h w", h=clip.shape[2]), inks


def _count(frame: Tensor) -> int:
    """Number of connected saturated areas of a frame `(3, h, w)` on the torus, without those below `SPECK`."""
    saturation = frame.amax(0) - frame.amin(0)
    top = saturation.flatten().topk(max(8, saturation.numel() // 40)).values.mean()
    ink = saturation > 0.5 * top
    if top <= FAINT:
        return 0
    labels = (torch.arange(1.0, ink.numel() + 1).reshape(ink.shape) * ink)[None, None]
    while True:  # each pixel takes the highest label around it
        around = F.max_pool2d(F.pad(labels, (1, 1, 1, 1), mode="circular"), 3, stride=1) * ink
        if torch.equal(around, labels):
            break
        labels = around
    return int((labels[labels > 0].unique(return_counts=True)[1] >= SPECK * ink.numel()).sum())


def _nearest_colour(ink: Tensor) -> str:
    names = list(COLOURS)
    distance = (torch.tensor(list(COLOURS.values())) - ink).norm(dim=-1)
    return names[int(distance.argmin())] if distance.min() < 0.45 else "none"


def shape_of(mask: Tensor) -> str:
    """Classifies a mask by its share of the bounding box, and by its width at the top and at the bottom."""
    rows, columns = mask.sum(1), mask.sum(0)
    ys, xs = rows.nonzero().flatten(), columns.nonzero().flatten()
    if len(ys) < 4 or len(xs) < 4:
        return "none"
    height, width = len(ys), len(xs)
    third = max(1, height // 3)
    top, bottom = rows[ys[:third]].mean(), rows[ys[-third:]].mean()
    if bottom > 1.7 * top:
        return "triangle"
    return "square" if mask.sum() / (height * width) > 0.9 else "circle"


def displacements(track: Tensor) -> Tensor:
    """Shortest displacements on the torus between frames, `(f - 1, 2)`."""
    return (track.diff(dim=0) + 0.5) % 1 - 0.5


def motion_of(step: Tensor, motions: Mapping[str, tuple[float, float]] = MOTIONS) -> str:
    """Classifies displacements `(f - 1, 2)`; "jumping" without a common direction."""
    if len(step) == 0:
        return "standing still"
    velocity, speed = step.mean(0), step.norm(dim=-1).mean()
    if velocity.norm() < STILL and speed < JITTER:
        return "standing still"
    if velocity.norm() < COHERENT * speed:
        return "jumping"
    directions = torch.tensor(list(motions.values()))
    return list(motions)[int((directions @ velocity).argmax())]


def most_frequent(names: tuple[str, ...]) -> str:
    return max(sorted(set(names)), key=names.count)
