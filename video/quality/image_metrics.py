"""Metrics of a clip against a ground truth, per frame and between frames. Clips are `(f, 3, h, w)` in [0, 1]."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

FLOOR = 1e-10
"""Least mean square error of PSNR, which is 100 dB at most."""
WINDOW, SPREAD = 11, 1.5
"""Side and standard deviation of SSIM's Gaussian window in pixels."""


def psnr(clip: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio per frame `(f,)` in dB."""
    _check(clip, truth)
    return -10 * (clip - truth).square().mean((1, 2, 3)).clamp_min(FLOOR).log10()


def ssim(clip: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity per frame `(f,)`, the mean over channels (Wang et al. 2004, K1 0.01, K2 0.03)."""
    _check(clip, truth)
    side = min(WINDOW, *(s - (s + 1) % 2 for s in clip.shape[2:]))
    line = torch.exp(-((torch.arange(side) - side // 2) ** 2) / (2 * SPREAD**2))
    window = (line[:, None] * line / line.sum() ** 2).to(clip)

    def mean(x: Tensor) -> Tensor:
        flat = rearrange(x, "f c h w -> (f c) 1 h w")
        return rearrange(F.conv2d(flat, window[None, None]), "(f c) 1 h w -> f c h w", f=len(x))

    a, b = mean(clip), mean(truth)
    spread_a, spread_b = mean(clip * clip) - a * a, mean(truth * truth) - b * b
    shared = mean(clip * truth) - a * b
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * a * b + c1) * (2 * shared + c2) / ((a * a + b * b + c1) * (spread_a + spread_b + c2))).mean((1, 2, 3))


def jump_error(clip: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute error of the differences between neighbouring frames `(f - 1,)`: flicker that the truth does not have."""
    _check(clip, truth)
    gap = clip - truth
    return (gap[1:] - gap[:-1]).abs().mean((1, 2, 3))


def flicker(clip: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring frames `(f - 1,)`, motion included (VBench's temporal flickering, unflipped)."""
    return (clip[1:] - clip[:-1]).abs().mean((1, 2, 3))


def _check(clip: Tensor, truth: Tensor) -> None:
    if clip.shape != truth.shape or clip.ndim != 4:
        raise ValueError(f"expected two clips (f, 3, h, w) of one shape, got {list(clip.shape)} and {list(truth.shape)}")
