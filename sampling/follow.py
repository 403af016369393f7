"""Predicted clean latents that follow a video: colours and shapes of one frame are carried to the others.

Rerender-A-Video (arXiv 2306.07954), written from its formulas, for all frames of a call at once: each step changes the
prediction of a frame by that of the first frame at the same step.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

EPS = 1e-5


def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread of each channel `(f, c, 1, 1)`."""
    return x.mean(dim=(2, 3), keepdim=True), (x.var(dim=(2, 3), keepdim=True) + EPS).sqrt()


def with_statistics(x: Tensor, mean: Tensor, spread: Tensor) -> Tensor:
    """Latents `(f, c, h, w)` with the given mean and spread of each channel (AdaIN, as Rerender normalises)."""
    return F.instance_norm(x, eps=EPS) * spread + mean


def carried(clean: Tensor, cells: Tensor, trust: Tensor, anchor: int = 0) -> Tensor:
    """Latents `(f, c, h, w)` with the contents of frame `anchor` where that frame's cells are trusted.

    cells   which cell of the anchor each cell shows `(f, h, w)`, int64, counted row by row
    trust   share of the anchor's contents `(f, 1, h, w)`; 0 in its own row leaves it as it is
    """
    source = clean[anchor].flatten(1)  # (c, h*w)
    moved = source[:, cells.flatten()].unflatten(1, cells.shape).movedim(1, 0)
    return torch.lerp(clean, moved, trust.to(clean))
