"""Detection of scene cuts by colour histograms."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

SIDE = 64
"""Side to which pictures are reduced, against grain and compression."""
LEVELS = 4
"""Histogram levels per channel."""


def colour_change(before: Tensor, after: Tensor) -> float:
    """Share of the picture whose colours differ, in [0, 1]: half the difference of colour histograms. `(3, h, w)` each.

    Motion does not change it; new content at the edge changes it little.
    """
    return float((_histogram(before) - _histogram(after)).abs().sum() / 2)


def is_cut(before: Tensor, after: Tensor, threshold: float) -> bool:
    """Whether a new scene begins with `after`; never for a threshold of 0."""
    return threshold > 0 and colour_change(before, after) > threshold


def _histogram(picture: Tensor) -> Tensor:
    small = F.interpolate(picture[None].float(), (min(SIDE, picture.shape[1]), min(SIDE, picture.shape[2])), mode="area")[0]
    place = rearrange(small.clamp(0, 1), "c h w -> c (h w)") * (LEVELS - 1)
    low = place.floor()
    share = place - low  # soft binning: a small change of brightness changes the histogram little
    counts = place.new_zeros(LEVELS + 1, LEVELS + 1, LEVELS + 1)
    for corner in range(8):
        up = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2])[:, None]
        weight = torch.where(up.bool(), share, 1 - share).prod(0)
        counts.index_put_(tuple((low + up).long()), weight, accumulate=True)
    return counts / place.shape[1]
