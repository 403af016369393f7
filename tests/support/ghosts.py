"""Doubles and ghosts in clips of the embedded model's world, counted for benchmarks."""

import torch
from torch import Tensor
from zoetrope.demo.detector import detect
from zoetrope.demo.world import BACKGROUNDS


def outstanding(frame: Tensor, background: float) -> Tensor:
    """Mask of what stands out from the ground by a third of what does most `(h, w)`: a ghost does, a faint trail not."""
    away = (frame - background).norm(dim=0)
    return away > max(0.12, float(away.max()) / 3)


def objects(frame: Tensor, background: float, least: int = 12) -> int:
    """Counts the separate things that a frame `(3, h, w)` shows on the torus, specks of fewer than `least` pixels left out."""
    seen = outstanding(frame, background)
    labels = torch.arange(1, seen.numel() + 1, dtype=torch.float32).reshape(seen.shape) * seen
    while True:  # the largest number of each connected region spreads over it
        wrapped = torch.nn.functional.pad(labels[None, None], (1, 1, 1, 1), mode="circular")
        spread = torch.nn.functional.max_pool2d(wrapped, 3, 1)[0, 0] * seen
        if torch.equal(spread, labels):
            break
        labels = spread
    _, counts = labels[seen].unique(return_counts=True)
    return int((counts >= least).sum())


def overlap(clip: Tensor, truth: Tensor) -> Tensor:
    """Intersection over union of what stands out in both `(f,)`; the truth's background counts."""
    background = ground(truth)
    a, b = ((one - background).norm(dim=1) > 0.3 for one in (clip, truth))
    return (a & b).sum((1, 2)) / (a | b).sum((1, 2)).clamp(min=1)


def ground(clip: Tensor) -> float:
    """Grey that a clip's shapes are on."""
    return BACKGROUNDS[detect(clip).background]
