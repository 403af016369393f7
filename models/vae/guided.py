"""Upscale-A-Video's decoder (arXiv 2312.06640): 3-D convolutions, norms over the clip, guidance by the low-res video.

sczhou/Upscale-A-Video 10ca1d7. The low-res frames modulate the features after the first convolution by scale and shift:
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
    """The temporal part of a residual block: a convolution over the clip."""
    return OverClip(ConvOverClip(channels))


class Guide(nn.Module):
    """Modulates the decoder's first features by scale and shift, which are computed from them and the low-res frames.

    channels   width of the low-res frames' features
    width      width of the decoder's features
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        temporal, spatial = parts(Downsample, "clip", over_clip), parts(Downsample, "clip")
        self.see = nn.Sequential(ResBlock(3, channels, temporal), ResBlock(channels, channels, temporal))
        self.fuse = nn.Sequential(ResBlock(channels + width, width, spatial), ResBlock(width, width, spatial))
        self.scale = nn.Conv2d(width, width, 3, padding=1)
        self.shift = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor, frames: Tensor, weight: float) -> Tensor:
        fused = self.fuse(torch.cat([self.see(frames), x], dim=1))
        return x + weight * (x * self.scale(fused) + self.shift(fused))


class GuidedVae(KLVae):
    """KL-VAE with a temporal decoder guided by low-res frames. guide: width of the low-res frames' features; 0: no guidance."""

    def __init__(self, layout: Layout, guide: int):
        super().__init__(layout, "clip", over_clip)
        self.guide: Any = Guide(guide, layout.widths[-1]) if guide else None

    def decode(self, latents: Tensor, low: Tensor | None = None, weight: float = 1.0) -> Tensor:
        """Decodes latents of one clip `(f, c, h, w)` to frames `(f, 3, side * h, side * w)`.

        low      low-res frames `(f, 3, h, w)` in [-1, 1]; None: no guidance. They may also be three more channels of the
                 latents, so that both are cut into windows together
        weight   strength of the guidance
        """
        if low is None and latents.shape[1] == self.latent + 3:
            latents, low = latents[:, : self.latent], latents[:, self.latent :]
        x = self.decoder.conv_in(self.post_quant_conv(latents))
        if low is not None and self.guide is not None:
            x = self.guide(x, low, weight)
        return self.decoder.onwards(x)
