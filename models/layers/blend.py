"""Blends of a temporal layer's output with its input: a residual, or a mix by alpha.

Strength s multiplies a residual's change, and turns a spatial weight into 1 - s*(1 - weight). s = 1 is the family as published;
s = 0 is the image model.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from .strength import Strength


class Residual(nn.Module):
    """x + s * change (AnimateDiff, ModelScope, VideoCrafter)."""

    def forward(self, x: Tensor, change: Tensor, strength: Strength) -> Tensor:
        """x, change and result have the same shape; strength is a number, or a tensor that broadcasts to it."""
        return x + change if not isinstance(strength, Tensor) and strength == 1 else x + strength * change


class Alpha(nn.Module):
    """Mix of the spatial and the temporal side by a learned alpha.

    side   the side that alpha multiplies: `spatial` (Align Your Latents 3.1, SVD's UNet) or `temporal` (SVD's decoder)
    gate   function from the stored number to alpha: `sigmoid` (SVD "learned"), `clamp` to [0, 1] (Align Your Latents), or
           `raw`, the number itself (SVD "fixed")
    start  initial value of the stored number
    """

    def __init__(self, side: Literal["spatial", "temporal"], gate: Literal["sigmoid", "clamp", "raw"], start: float):
        super().__init__()
        self.side = side
        self.gate = gate
        self.mix = nn.Parameter(torch.full((1,), float(start)))

    def alpha(self) -> Tensor:
        """alpha `(1,)` in float32."""
        mix = self.mix.float()
        return {"sigmoid": mix.sigmoid, "clamp": lambda: mix.clamp(0, 1), "raw": lambda: mix}[self.gate]()

    def weight(self, strength: Strength, like: Tensor) -> Tensor:
        """Weight of the temporal side, s * (1 - spatial weight), computed in float32, with device and dtype of `like`."""
        alpha = self.alpha().to(like.device)
        return (strength * (1 - alpha if self.side == "spatial" else alpha)).to(like.device, like.dtype)

    def forward(self, x: Tensor, branch: Tensor, strength: Strength) -> Tensor:
        """x (spatial side), branch (temporal side), result `(b f) c h w`."""
        return x + self.weight(strength, x) * (branch - x)


class AlphaOfResidual(Alpha):
    """Alpha whose temporal side is a residual block, x + change (Align Your Latents 3.1: "residual blocks")."""

    def forward(self, x: Tensor, branch: Tensor, strength: Strength) -> Tensor:
        """branch: the change alone; where it is zero, the result equals x bit for bit."""
        return x + self.weight(strength, x) * branch
