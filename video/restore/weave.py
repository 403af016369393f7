"""Gate weave: the picture's position is moved to its own smooth course."""

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..frames.registration import Motion
from .stream import PAST, REACH, FilmFrame, Path, Scene, around

STEADY = 0.15
"""Root mean square of the offsets, in pixels, below which a film counts as steady and stays unchanged."""


def steadied(scene: Iterable[FilmFrame], strength: float) -> Scene:
    """Removes weave. strength: share of the offsets that is removed."""
    path, added, last = Path(), 0, torch.zeros(2, dtype=torch.float64)
    for number, (window, at) in enumerate(around(scene, 0, REACH)):
        for frame in window[added - number :]:
            path.add(frame.step.shift)
            added += 1
        path.forget(PAST + len(window))
        offset, spread = path.residuals(len(path) - len(window) + at)
        offset = strength * offset * (spread.norm() > STEADY)
        yield _moved(window[at], offset, last)
        last = offset


def _moved(frame: FilmFrame, offset: Tensor, last: Tensor) -> FilmFrame:
    """A frame moved back by its offset; `last`: the offset of the frame before."""
    step = Motion(frame.step.shift + last - offset, frame.step.slope)
    if not bool(offset.any()):
        return replace(frame, step=step)
    picture = shifted_back(frame.picture, offset, "bicubic").clamp(0, 1)
    painted = None if frame.painted is None else shifted_back(frame.painted[None], offset, "bilinear")[0]
    return replace(frame, picture=picture, painted=painted, step=step)


def shifted_back(picture: Tensor, offset: Tensor, mode: str) -> Tensor:
    """A picture `(c, h, w)` read at an offset (right, down) in pixels; edges are repeated."""
    height, width = picture.shape[1:]
    x = (2 * (torch.arange(width) + float(offset[0])) + 1) / width - 1
    y = (2 * (torch.arange(height) + float(offset[1])) + 1) / height - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None].to(picture.dtype)
    return F.grid_sample(picture[None], grid, mode=mode, padding_mode="border", align_corners=False)[0]
