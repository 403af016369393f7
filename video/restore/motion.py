"""Neighbouring frames, moved to a frame, by a flow that damage does not pull: against the median of the frames around."""

import torch
from torch import Tensor
from torch.nn import functional as F

from ..frames.flow import SMALLEST, flow_between, has_flow
from ..frames.lucas_kanade import dense_flow
from ..frames.warp import warped
from .detectors import temporal_median


def local_flow(before: Tensor, after: Tensor) -> Tensor:
    """Optical flow `(2, h, w)`: OpenCV's where it is installed, else the pack's own, which is less exact."""
    if has_flow() and min(before.shape[1:]) >= SMALLEST:
        return flow_between(before, after)
    return dense_flow(before, after)


def moved(picture: Tensor, flow: Tensor) -> Tensor:
    """A picture `(c, h, w)` read at the ends of a flow `(2, h, w)`; edges are repeated."""
    height, width = picture.shape[1:]
    x, y = torch.arange(width)[None] + flow[0], torch.arange(height)[:, None] + flow[1]
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)[None].to(picture.dtype)
    return F.grid_sample(picture[None], grid, mode="bilinear", padding_mode="border", align_corners=True)[0]


def refined(target: Tensor, source: Tensor, flow: Tensor) -> Tensor:
    """A flow from `target` to `source`, refined from a first guess that moves the source near to the target."""
    local = local_flow(target, moved(source, flow))
    return local + moved(flow, local)


def compensated(now: Tensor, before: Tensor, after: Tensor, guesses: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Both neighbours `(3, h, w)` of a frame, moved to it.

    guesses   flows from this frame to each neighbour `(2, h, w)`, such as those of the whole picture
    """
    near = [moved(other, flow) for other, flow in zip((before, after), guesses, strict=True)]
    clean = temporal_median(near[0], now, near[1])
    flows = [refined(clean, other, flow) for other, flow in zip((before, after), guesses, strict=True)]
    near = [moved(other, flow) for other, flow in zip((before, after), flows, strict=True)]
    clean = temporal_median(near[0], now, near[1])
    flows = [refined(clean, other, flow) for other, flow in zip((before, after), flows, strict=True)]
    return moved(before, flows[0]), moved(after, flows[1])


def visible(flow: Tensor) -> Tensor:
    """Whether the flow ends inside the picture, `(h, w)` bool."""
    return warped(torch.ones(1, 1, *flow.shape[1:]), flow[None])[0, 0] > 0.5
