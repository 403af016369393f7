"""Which latent cell of one frame of a video shows what a cell of another frame shows, and where that can be trusted."""

from collections import OrderedDict
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

from .flow import flow_between
from .occlusion import latent_flow, latent_trust, occluded, softened
from .warp import warped

Pair = tuple[Tensor, Tensor]
SCALE, MOST_PAIRS = 8, 4096
"""Pixels of a latent cell; pairs of frames that are kept (20 KB each at 64x64 cells)."""


@dataclass(frozen=True, eq=False)
class SourceVideo:
    """Frames of a video `(f, h, w, 3)` in [0, 1], and the flows between them, computed when they are needed."""

    images: Tensor

    def cells(self, frame: int, anchor: int, size: tuple[int, int]) -> Pair:
        """For each latent cell of a frame: the anchor's cell `(h, w)` int32, counted row by row, and its trust in [0, 1]."""
        kept, key = _PAIRS.setdefault(self, OrderedDict()), (frame, anchor, size)
        if key not in kept:
            kept[key] = _pair(self._picture(frame, size), self._picture(anchor, size))
        kept.move_to_end(key)
        while len(kept) > MOST_PAIRS:
            kept.popitem(last=False)
        return kept[key]

    def _picture(self, frame: int, size: tuple[int, int]) -> Tensor:
        picture = rearrange(self.images[frame, ..., :3].to("cpu", torch.float32), "h w c -> 1 c h w")
        return F.interpolate(picture, [SCALE * side for side in size], mode="bilinear", antialias=True)[0]


_PAIRS: "WeakKeyDictionary[SourceVideo, OrderedDict[tuple[int, int, tuple[int, int]], Pair]]" = WeakKeyDictionary()
"""Outside the objects, which are settings and do not change while they are used."""


def _pair(picture: Tensor, anchor: Tensor) -> Pair:
    there, back = (flow_between(*pictures)[None] for pictures in ((picture, anchor), (anchor, picture)))
    small = latent_flow(there, SCALE)
    height, width = small.shape[-2:]
    numbers = torch.arange(1, height * width + 1, dtype=torch.float32).reshape(1, 1, height, width)
    found = warped(numbers, small, "nearest")[0, 0]  # 0 beyond the edge
    trust = latent_trust(softened(occluded(there, back)), SCALE)[0, 0] * (found > 0)
    return (found.round().int() - 1).clamp(min=0), trust
