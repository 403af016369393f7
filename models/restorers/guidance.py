"""Restoration guidance of DiffBIR (arXiv 2308.15070, section 3.3; XPixelGroup/DiffBIR 3f8b530, `utils/cond_fn.py`).

Each predicted clean picture is moved towards a target, in flat areas more than at edges, which are left to the network.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

STEP = -3000.0
"""Factor on the gradient, as published."""
GREY = (0.2989, 0.587, 0.114)
BLOCK = 2
"""Side of the blocks in which edges are summed."""


def guidance(clean: Tensor, target: Tensor, scale: float, weight: Tensor | float = 1.0) -> Tensor:
    """What is added to predicted clean pictures or latents `(f, c, h, w)`: -3000 x scale x the gradient of each one's mean
    weighted squared difference from the target.

    scale    as published, such as .25; 0: nothing is added
    weight   of each pixel `(f, 1, h, w)`, such as `flatness` of the target; 1 for latents, as published
    """
    return STEP * scale * 2 * weight * (clean - target) / clean[0].numel()


def flatness(pictures: Tensor) -> Tensor:
    """Weight of each pixel `(f, 1, h, w)` of pictures `(f, 3, h, w)` in [0, 1]: 1 in flat areas, near 0 at edges.

    Sides must be multiples of 2. It is 1 - tanh of the sum of gradient magnitudes (Sobel) in blocks of 2 x 2 pixels.
    """
    grey = sum(factor * pictures[:, n : n + 1] for n, factor in enumerate(GREY))
    assert isinstance(grey, Tensor)
    slope = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]).to(grey)
    gradient = F.conv2d(F.pad(grey, (1,) * 4, mode="replicate"), torch.stack([slope, slope.T])[:, None])
    length = gradient.square().sum(1, keepdim=True).sqrt()
    blocks = F.avg_pool2d(length, BLOCK, divisor_override=1)
    return 1 - torch.tanh(F.interpolate(blocks, scale_factor=BLOCK, mode="nearest"))
