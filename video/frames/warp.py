"""Flow-guided propagation of latents, backwards through a clip and forwards again, where the flow is reliable.

Upscale-A-Video (arXiv 2312.06640, 3.3; sczhou/Upscale-A-Video 10ca1d7, `propagation_module.py`), after BasicVSR's propagation.
Flows are in pixels, channel 0 to the right, 1 down: `forward[i]` from frame i to i + 1, `backward[i]` from i + 1 to i.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Mode = Literal["nearest", "bilinear"]


@dataclass(frozen=True)
class Trust:
    """Thresholds of the forward-backward check: |there + back|^2 < share * (|there|^2 + |back|^2) + floor.

    The defaults are those of Upscale-A-Video's pipeline.
    """

    share: float = 0.001
    floor: float = 0.05


DEFAULT = Trust()


def propagate(
    x: Tensor, forward: Tensor, backward: Tensor, fuse: float = 0.5, mode: Mode = "nearest", trust: Trust = DEFAULT
) -> Tensor:
    """Mixes each of the clean frames `(f, c, h, w)` with its neighbours, warped along flows `(f - 1, 2, H, W)`.

    fuse   share of the warped neighbour; 1 copies it
    """
    forward, backward = (at_size(flow, x.shape[-2:]) for flow in (forward, backward))
    frames = list(x)
    for i in reversed(range(len(frames) - 1)):
        frames[i] = _fused(frames[i], frames[i + 1], forward[i], backward[i], fuse, mode, trust)
    for i in range(1, len(frames)):
        frames[i] = _fused(frames[i], frames[i - 1], backward[i - 1], forward[i - 1], fuse, mode, trust)
    return torch.stack(frames)


def _fused(here: Tensor, other: Tensor, there: Tensor, back: Tensor, fuse: float, mode: Mode, trust: Trust) -> Tensor:
    """there: flow from this frame to the other, `(2, h, w)`."""
    carried = warped(other[None], there[None], mode)[0]
    reliable = trusted(there[None], back[None], trust)[0]
    return torch.where(reliable, fuse * carried + (1 - fuse) * here, here)


def trusted(there: Tensor, back: Tensor, trust: Trust = DEFAULT) -> Tensor:
    """Mask of reliable flow by the forward-backward check, `(f, 1, h, w)` bool."""
    returned = warped(back, there, "bilinear")
    apart = (there + returned).square().sum(1, keepdim=True)
    length = there.square().sum(1, keepdim=True) + returned.square().sum(1, keepdim=True)
    return apart < trust.share * length + trust.floor


def warped(x: Tensor, flow: Tensor, mode: Mode = "bilinear") -> Tensor:
    """Backward warping: x `(f, c, h, w)` sampled at the ends of `flow (f, 2, h, w)`; 0 beyond the edge."""
    height, width = x.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height, device=x.device), torch.arange(width, device=x.device), indexing="ij")
    at_x = 2 * (columns + flow[:, 0]) / max(width - 1, 1) - 1
    at_y = 2 * (rows + flow[:, 1]) / max(height - 1, 1) - 1
    grid = torch.stack([at_x, at_y], dim=-1).to(x.dtype)  # (f, h, w, 2)
    return F.grid_sample(x, grid, mode=mode, padding_mode="zeros", align_corners=True)


def at_size(flow: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """Resizes a flow `(f, 2, h, w)`, with its values in pixels of the new size."""
    height, width = flow.shape[-2:]
    if (height, width) == tuple(size):
        return flow
    smaller = F.interpolate(flow, tuple(size), mode="area")
    return smaller * smaller.new_tensor([size[1] / width, size[0] / height])[:, None, None]
