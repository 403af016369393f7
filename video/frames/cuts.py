"""Scene cuts: where the colours of one frame are not those of the next."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

SIDE = 64
"""Pictures are looked at in this size: grain and compression do not count."""
LEVELS = 4
"""Per channel."""


def colour_change(before: Tensor, after: Tensor) -> float:
    """Share of the picture whose colours are others, in [0, 1]: half the difference of colour histograms. `(3, h, w)` each.

    Motion changes nothing in it; what comes in at the edge changes little.
    """
    return float((_histogram(before) - _histogram(after)).abs().sum() / 2)


def is_cut(before: Tensor, after: Tensor, threshold: float) -> bool:
    """Whether a new scene begins; never where the threshold is 0."""
    return threshold > 0 and colour_change(before, after) > threshold


def _histogram(picture: Tensor) -> Tensor:
    small = F.interpolate(picture[None].float(), (min(SIDE, picture.shape[1]), min(SIDE, picture.shape[2])), mode="area")[0]
    place = rearrange(small.clamp(0, 1), "c h w -> c (h w)") * (LEVELS - 1)
    low = place.floor()
    share = place - low  # shared out between neighbouring levels, so that a little more light is no other colour
    counts = place.new_zeros(LEVELS + 1, LEVELS + 1, LEVELS + 1)
    for corner in range(8):
        up = torch.tensor([corner & 1, corner >> 1 & 1, corner >> 2])[:, None]
        weight = torch.where(up.bool(), share, 1 - share).prod(0)
        counts.index_put_(tuple((low + up).long()), weight, accumulate=True)
    return counts / place.shape[1]
