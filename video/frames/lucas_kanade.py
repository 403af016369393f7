"""Dense optical flow by Lucas and Kanade's method in a pyramid, where OpenCV is not installed."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .warp import warped

COARSEST, ROUNDS, WINDOW = 24, 4, 9
"""Least side of the smallest pictures, iterations on each, side of the window in which the flow is constant."""
NOISE, LONGEST = 1e-4, 2.0
"""Gradient energy below which the flow is not changed; longest change in an iteration, in pixels."""


def dense_flow(before: Tensor, after: Tensor) -> Tensor:
    """Flow from `before` to `after`, `(2, h, w)`: right and down, in pixels. Pictures `(3, h, w)` in [0, 1]."""
    pair = torch.stack([before.mean(0), after.mean(0)])[:, None].float()
    levels = [pair]
    while min(levels[-1].shape[-2:]) >= 2 * COARSEST:
        levels.append(F.avg_pool2d(levels[-1], 2, ceil_mode=True))
    flow = torch.zeros(1, 2, *levels[-1].shape[-2:])
    for level in reversed(levels):
        size = level.shape[-2:]
        if flow.shape[-2:] != size:
            flow = 2 * F.interpolate(flow, size, mode="bilinear", align_corners=False)
        for _ in range(ROUNDS):
            flow = _smooth(flow + _change(level[:1], level[1:], flow))
    return flow[0]


def _change(first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
    """The change of a flow that fits best in the window around each pixel, `(1, 2, h, w)`."""
    moved = warped(second, flow)
    inside = (warped(torch.ones_like(second), flow) > 0.99).float()
    middle = F.pad(0.5 * (first + moved), (1,) * 4, mode="replicate")
    gx = 0.5 * (middle[..., 1:-1, 2:] - middle[..., 1:-1, :-2]) * inside
    gy = 0.5 * (middle[..., 2:, 1:-1] - middle[..., :-2, 1:-1]) * inside
    gt = (moved - first) * inside
    xx, xy, yy, xt, yt = (_window(part) for part in (gx * gx, gx * gy, gy * gy, gx * gt, gy * gt))
    xx, yy = xx + NOISE, yy + NOISE
    determinant = xx * yy - xy * xy
    change = torch.cat([xy * yt - yy * xt, xy * xt - xx * yt], 1) / determinant
    return change.clamp(-LONGEST, LONGEST)


def _window(part: Tensor) -> Tensor:
    return F.avg_pool2d(F.avg_pool2d(part, WINDOW, 1, WINDOW // 2), 3, 1, 1)


def _smooth(flow: Tensor) -> Tensor:
    return F.avg_pool2d(F.pad(flow, (1,) * 4, mode="replicate"), 3, 1)
