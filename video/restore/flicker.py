"""Flicker: exposure and contrast, by block of the picture, follow their own smooth course.

As van Roosmalen's correction of local gain and offset, but steps are measured between frames that are registered first, because
motion of the content is no flicker.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ..frames.warp import warped
from .stream import PAST, REACH, FilmFrame, Path, Scene, around

BLOCKS = (3, 4)
FLOOR, STEADY = 0.04, 0.0015
"""Standard deviation of a block below which its contrast follows that of the whole picture; root mean square of the changes
below which a film counts as free of flicker."""
OUTLIER, COVERED = 3.0, 0.15
"""Residuals, in units of their spread, above which a pixel is not compared; least compared share of a block."""


def evened(scene: Iterable[FilmFrame], strength: float) -> Scene:
    """Removes flicker. strength: share of the changes that is removed."""
    path, means, added = Path(), deque[Tensor](), 0
    before: FilmFrame | None = None
    for number, (window, at) in enumerate(around(scene, 0, REACH)):
        for frame in window[added - number :]:
            path.add(torch.zeros(2, 3, *BLOCKS) if before is None else exposure_step(before, frame))
            means.append(F.adaptive_avg_pool2d(frame.picture, BLOCKS))
            before, added = frame, added + 1
        path.forget(PAST + len(window))
        change, spread = path.residuals(len(path) - len(window) + at)
        mean, frame = means.popleft(), window[at]
        yield (
            frame
            if spread[0].square().mean().sqrt() < STEADY
            else replace(frame, picture=_corrected(frame, mean, change, strength))
        )


def _corrected(frame: FilmFrame, mean: Tensor, change: Tensor, strength: float) -> Tensor:
    """change: of the mean, and of the logarithm of the standard deviation, of each block `(2, 3, rows, columns)`."""
    gain = torch.exp(-strength * change[1]).float()
    offset = mean - strength * change[0].float() - gain * mean
    return (_field(gain, frame.size) * frame.picture + _field(offset, frame.size)).clamp(0, 1)


def exposure_step(before: FilmFrame, frame: FilmFrame) -> Tensor:
    """Change of mean and log standard deviation of each block's content from one frame to the next, `(2, 3, rows, columns)`."""
    flow = frame.step.inverse().flow(frame.size)[None].float()
    moved = warped(before.picture[None], flow)[0]
    weight = (warped(torch.ones_like(before.picture[None, :1]), flow)[0] > 0.999).float()
    for _ in range(2):
        change = _compared(frame.picture, moved, weight)
        gain, means = torch.exp(change[1]), change[2]
        expected = _field(gain, frame.size) * moved + _field(means + change[0] - gain * means, frame.size)
        residual = (frame.picture - expected).abs().amax(0, keepdim=True)
        inside = residual[weight > 0]
        spread = 1.4826 * (inside.median() if len(inside) else residual.median()) + 0.004
        weight = weight * (residual < OUTLIER * spread)
    return _compared(frame.picture, moved, weight)[:2]


def _compared(picture: Tensor, other: Tensor, weight: Tensor) -> Tensor:
    """Changes of mean and of log standard deviation from `other`, and the mean of `other`, `(3, 3, rows, columns)`."""
    share = F.adaptive_avg_pool2d(weight, BLOCKS)

    def moments(one: Tensor, blocks: tuple[int, int]) -> tuple[Tensor, Tensor]:
        total = F.adaptive_avg_pool2d(weight, blocks).clamp_min(1e-6)
        mean = F.adaptive_avg_pool2d(one * weight, blocks) / total
        return mean, (F.adaptive_avg_pool2d(one * one * weight, blocks) / total - mean * mean).clamp_min(0) + 1e-5

    (mean, variance), (other_mean, other_variance) = moments(picture, BLOCKS), moments(other, BLOCKS)
    (whole, whole_variance), (other_whole, other_whole_variance) = moments(picture, (1, 1)), moments(other, (1, 1))
    known = share > COVERED
    trust = other_variance / (other_variance + FLOOR**2) * known
    spread = 0.5 * torch.lerp(
        (whole_variance / other_whole_variance).log().expand_as(trust), (variance / other_variance).log(), trust
    )
    change = torch.where(known, mean - other_mean, whole - other_whole)
    return torch.stack([change, spread, torch.where(known, other_mean, other_whole)])


def _field(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Values of blocks `(3, rows, columns)` at every pixel, smooth."""
    return F.interpolate(values[None], size, mode="bicubic", align_corners=False)[0]
