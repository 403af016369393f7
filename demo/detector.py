"""Turns clips of the procedural world into numbers: what colour, what shape, where, moving how.

Purely analytic (colour distance, moments, circular means), so that it judges every model by the same measure and nothing can be
trained against it.
"""

from dataclasses import dataclass
from math import pi

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .world import BACKGROUNDS, COLOURS, MOTIONS

STILL = 0.006
"""Picture widths per frame of mean velocity below which a shape stands still."""
JITTER = 0.02
"""Picture widths that a shape which stands still may tremble per frame."""
COHERENT = 0.6
"""Least share of the way from frame to frame that goes in the mean direction; aimless jumps of 16 frames reach 0.26."""


FAINT = 0.25
"""Most saturation of a frame in which nothing is seen."""
SPECK = 0.008
"""Share of the picture from which on a separate area counts as a shape; the world's smallest covers 0.07."""


@dataclass(frozen=True)
class Sighting:
    """What a clip shows."""

    colour: str
    """The colour of most frames."""
    shape: str
    background: str
    motion: str
    """One of the world's, or "jumping"."""
    colours: tuple[str, ...]
    """Per frame; "none" where nothing is seen."""
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
    """How many separate shapes each frame shows, trails not counted."""


def watch(clip: Tensor) -> Sighting:
    """Looks at a clip `(f, 3, h, w)` in [0, 1] of at least one frame."""
    background = _background(clip)
    mask, inks = _mask(clip, torch.full((3,), BACKGROUNDS[background]))
    track = circular_mean(mask)
    colours = tuple(_nearest_colour(ink) if area > 8 else "none" for ink, area in zip(inks, mask.sum((1, 2)), strict=True))
    shapes = tuple(_shape(m) for m in centred((mask > 0.2).float(), track))
    step = _steps(track)
    velocity = step.mean(0) if len(step) else torch.zeros(2)
    early = inks[: max(1, len(inks) // 4)].mean(0)
    return Sighting(
        colour=_most(colours),
        shape=_most(shapes),
        background=background,
        motion=_motion(step),
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
    """Masks rolled so that each shape lies in the middle of its picture."""
    h, w = mask.shape[1:]
    shifts = ((0.5 - track) * torch.tensor([w, h])).round().int().tolist()
    return torch.stack([m.roll((dy, dx), (0, 1)) for m, (dx, dy) in zip(mask, shifts, strict=True)])


def _background(clip: Tensor) -> str:
    """The grey that most of the clip is nearest to."""
    greys = torch.tensor(list(BACKGROUNDS.values()))
    pixels = rearrange(clip, "f c h w -> (f h w) c")
    distance = (pixels[:, None] - greys[None, :, None]).norm(dim=-1)
    return list(BACKGROUNDS)[int(distance.argmin(1).bincount(minlength=len(greys)).argmax())]


def _mask(clip: Tensor, background: Tensor) -> tuple[Tensor, Tensor]:
    """How much of each pixel is the shape's ink, `(f, h, w)` in [0, 1], and each frame's ink, `(f, 3)`.

    The ink of a frame is the mean of its most saturated pixels; trails, at most half as strong, count as background. Edges keep
    their half tones, so that centres are finer than a pixel.
    """
    pixels = rearrange(clip, "f c h w -> f (h w) c")
    saturation = pixels.amax(-1) - pixels.amin(-1)
    top = saturation.topk(max(8, pixels.shape[1] // 40), dim=1).indices
    inks = pixels.gather(1, top[..., None].expand(-1, -1, 3)).mean(1)  # (f, 3)
    span = inks - background
    along = ((pixels - background) * span[:, None]).sum(-1) / span.square().sum(-1, keepdim=True).clamp(min=1e-6)
    seen = ((along - 0.5) / 0.5).clamp(0, 1) * (saturation.amax(1, keepdim=True) > FAINT)
    return rearrange(seen, "f (h w) -> f h w", h=clip.shape[2]), inks


def _count(frame: Tensor) -> int:
    """Connected saturated areas of a frame `(3, h, w)` on the torus, specks left out."""
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


def _shape(mask: Tensor) -> str:
    """By how much of its bounding box a shape fills, and by how wide it is at the top compared with the bottom."""
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


def _steps(track: Tensor) -> Tensor:
    """Moves from frame to frame the short way round, `(f - 1, 2)`."""
    return (track.diff(dim=0) + 0.5) % 1 - 0.5


def _motion(step: Tensor) -> str:
    """What moves from frame to frame `(f - 1, 2)` amount to; "jumping" where they lead nowhere."""
    if len(step) == 0:
        return "standing still"
    velocity, way = step.mean(0), step.norm(dim=-1).mean()
    if velocity.norm() < STILL and way < JITTER:
        return "standing still"
    if velocity.norm() < COHERENT * way:
        return "jumping"
    directions = torch.tensor(list(MOTIONS.values()))
    return list(MOTIONS)[int((directions @ velocity).argmax())]


def _most(names: tuple[str, ...]) -> str:
    return max(sorted(set(names)), key=names.count)
