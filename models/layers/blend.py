"""How a temporal layer joins the picture: a residual, or a mix by alpha on one of the two sides.

Every blend obeys strength s as DESIGN defines it: a residual delta is multiplied by s, and the weight of the spatial side
becomes 1 - s*(1 - weight). s = 1 is the family as published; s = 0 is the image model.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from .strength import Strength


class Residual(nn.Module):
    """x + s * change (AnimateDiff, ModelScope, VideoCrafter)."""

    def forward(self, x: Tensor, change: Tensor, strength: Strength) -> Tensor:
        """x, change, result of one shape; strength a number, or a tensor that spreads over them."""
        return x + change if not isinstance(strength, Tensor) and strength == 1 else x + strength * change


class Alpha(nn.Module):
    """alpha * one side + (1 - alpha) * the other; which side alpha multiplies is a property of the family.

    side   `spatial` (Align Your Latents 3.1, SVD's UNet) or `temporal` (SVD's decoder: the other way round).
    gate   what the stored number goes through: `sigmoid` (SVD "learned"), `clamp` to [0, 1] (Align Your Latents), or
           `raw` (SVD "fixed").
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
        """Weight of the temporal side, s * (1 - weight of the spatial side), taken in float32 and handed out like `like`."""
        alpha = self.alpha().to(like.device)
        return (strength * (1 - alpha if self.side == "spatial" else alpha)).to(like.device, like.dtype)

    def forward(self, x: Tensor, branch: Tensor, strength: Strength) -> Tensor:
        """x (spatial side), branch (temporal side), result `(b f) c h w`."""
        return x + self.weight(strength, x) * (branch - x)


class AlphaOfResidual(Alpha):
    """Alpha over a temporal side that is itself a residual block, x + change (Align Your Latents 3.1: "residual blocks")."""

    def forward(self, x: Tensor, branch: Tensor, strength: Strength) -> Tensor:
        """branch: the change alone; where it is zero, x comes out to the bit."""
        return x + self.weight(strength, x) * branch
