"""Upscale-A-Video's decoder (arXiv 2312.06640): 3-D convolutions, norms over the clip, and a look at the low-res video.

sczhou/Upscale-A-Video 10ca1d7. The low-res frames enter after the first convolution by a feature-wise scale and shift:
x + weight * (x * scale + shift).
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..layers.blend import Residual
from ..layers.temporal import TemporalContext, TemporalLayer
from .kl import Downsample, KLVae, Layout, Norm, OverClip, parts
from .skeleton import ResBlock


class ConvOverClip(TemporalLayer):
    """Norm over the clip, SiLU, 3x3x3 convolution."""

    def __init__(self, channels: int):
        super().__init__(channels, Residual())
        self.norm = Norm(channels, "clip")
        self.conv = nn.Conv3d(channels, channels, 3, padding=1)

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        h = rearrange(nn.functional.silu(self.norm(x)), "f c h w -> 1 c f h w")
        return rearrange(self.conv(h), "1 c f h w -> f c h w")


def over_clip(channels: int) -> nn.Module:
    return OverClip(ConvOverClip(channels))


class Guide(nn.Module):
    """Scale and shift of the decoder's first features, made of them and the low-res frames."""

    def __init__(self, channels: int, width: int):
        super().__init__()
        seeing, plain = parts(Downsample, "clip", over_clip), parts(Downsample, "clip")
        self.see = nn.Sequential(ResBlock(3, channels, seeing), ResBlock(channels, channels, seeing))
        self.fuse = nn.Sequential(ResBlock(channels + width, width, plain), ResBlock(width, width, plain))
        self.scale = nn.Conv2d(width, width, 3, padding=1)
        self.shift = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, frames: Tensor, weight: float) -> Tensor:
        both = self.fuse(torch.cat([self.see(frames), x], dim=1))
        return x + weight * (x * self.scale(both) + self.shift(both))


class GuidedVae(KLVae):
    """guide   channels of what sees the low-res frames; 0: the file has no such part"""

    def __init__(self, layout: Layout, guide: int):
        super().__init__(layout, "clip", over_clip)
        self.guide: Any = Guide(guide, layout.widths[-1]) if guide else None

    def decode(self, latents: Tensor, low: Tensor | None = None, weight: float = 1.0) -> Tensor:
        """low   low-res frames `(f, 3, h, w)` in [-1, 1], of the latents' size; None: decoded without them. They may also stand
        behind the latents, as three more channels, so that whatever cuts clips cuts both."""
        if low is None and latents.shape[1] == self.latent + 3:
            latents, low = latents[:, : self.latent], latents[:, self.latent :]
        x = self.decoder.conv_in(self.post_quant_conv(latents))
        if low is not None and self.guide is not None:
            x = self.guide(x, low, weight)
        return self.decoder.onwards(x)
