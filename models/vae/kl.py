"""Stable Diffusion's KL-VAE on clips: the image autoencoder, with an optional temporal part after each block of its decoder.

Frames are the batch, `(f, c, h, w)`, and belong to one clip. The temporal part depends on the family: none (SD), a residual
block over frames (SVD, arXiv 2311.15127), or a 3-D convolution (Upscale-A-Video, arXiv 2312.06640).
"""

from dataclasses import dataclass
from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from ..layers.attention import scaled_dot_product
from ..layers.temporal import Scope, TemporalContext, TemporalLayer, group_norm
from .skeleton import Decoder, Encoder, Half, Parts

GROUPS = 32


class Norm(nn.GroupNorm):
    """GroupNorm with statistics of one frame, or of all frames of the clip together."""

    def __init__(self, channels: int, scope: Scope):
        super().__init__(min(GROUPS, channels), channels, eps=1e-6)
        self.scope: Scope = scope

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  torch's name  (f, c, h, w)
        return group_norm(super().forward, input, len(input), self.scope)


class PixelAttention(nn.Module):
    """Self-attention over the pixels of a frame, one head; `forward` adds the residual, `change` does not."""

    def __init__(self, channels: int, norm: nn.Module):
        super().__init__()
        self.norm = norm
        self.q, self.k, self.v, self.proj_out = (nn.Linear(channels, channels) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:  # (f, c, h, w)
        return x + self.change(x)

    def change(self, x: Tensor) -> Tensor:
        """Output of the attention without the residual; x and result `(f, c, h, w)`."""
        tokens = rearrange(self.norm(x), "f c h w -> f (h w) c")
        out = self.proj_out(scaled_dot_product(self.q(tokens), self.k(tokens), self.v(tokens), heads=1))
        return rearrange(out, "f (h w) c -> f c h w", h=x.shape[2])


class Downsample(nn.Module):
    """Halves the resolution; padding is on the right and below only."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Doubles the resolution by nearest neighbour, then a convolution."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class OverClip(nn.Module):
    """Applies a temporal layer to `(f, c, h, w)`, all frames as one clip, at strength 1 and without text."""

    def __init__(self, layer: TemporalLayer):
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:  # (f, c, h, w)
        return self.layer(x, TemporalContext(len(x), 1.0, None, scaled_dot_product))


class ConvOverTime(nn.Module):
    """A (3,1,1) convolution after the decoder's last one (SVD's `time_mix_conv`)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0))

    def forward(self, x: Tensor) -> Tensor:  # (f, c, h, w)
        return rearrange(self.conv(rearrange(x, "f c h w -> 1 c f h w")), "1 c f h w -> f c h w")


def still(channels: int) -> nn.Module:
    """No temporal part: the identity."""
    return nn.Identity()


def parts(resample: Any, scope: Scope = "frame", half: Half = still) -> Parts:
    """Parts of a 2-D autoencoder. resample: `Downsample` or `Upsample`; scope: of the norms; half: temporal part per block."""

    def wide(before: int, width: int) -> nn.Module:
        return nn.Conv2d(before, width, 3, padding=1)

    return Parts(
        conv=wide,
        second=wide,
        point=lambda before, width: nn.Conv2d(before, width, 1),
        norm=lambda channels: Norm(channels, scope),
        attention=lambda channels: PixelAttention(channels, Norm(channels, "frame")),
        resample=lambda channels, level: resample(channels),
        half=half,
    )


@dataclass(frozen=True)
class Layout:
    """Sizes of one KL-VAE, from the shapes in its file."""

    widths: tuple[int, ...]
    """Channels per level, highest resolution first; each level but the last halves the resolution."""
    blocks: int
    """Residual blocks per level of the encoder; the decoder has one more."""
    latent: int
    """Channels of the latent."""
    quant: bool
    post_quant: bool
    """Whether there are 1x1 convolutions on both sides of the latent (SVD has none before its decoder)."""


class KLVae(nn.Module):
    """Encoder, decoder, and the 1x1 convolutions at the latent. Latents are not multiplied by the model's scale factor.

    scope   range of the norms' statistics: the whole clip in Upscale-A-Video
    half    temporal part after each residual block of the decoder
    last    temporal part after the decoder's last convolution
    """

    def __init__(self, layout: Layout, scope: Scope = "frame", half: Half = still, last: Half = still):
        super().__init__()
        widths, blocks, latent = layout.widths, layout.blocks, layout.latent
        self.side, self.latent = 2 ** (len(widths) - 1), latent
        self.encoder = Encoder(widths, blocks, 2 * latent, parts(Downsample, scope))
        self.decoder = Decoder(widths, blocks + 1, latent, parts(Upsample, scope, half))
        self.last = last(3)
        self.quant_conv = nn.Conv2d(2 * latent, 2 * latent, 1) if layout.quant else nn.Identity()
        self.post_quant_conv = nn.Conv2d(latent, latent, 1) if layout.post_quant else nn.Identity()

    def moments(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encodes frames `(f, 3, h, w)` in [-1, 1] to mean and log variance of latents, `(f, c, h / side, w / side)` each."""
        mean, logvar = self.quant_conv(self.encoder(frames)).chunk(2, dim=1)
        return mean, logvar.clamp(-30, 20)

    def encode(self, frames: Tensor) -> Tensor:
        """The mean of `moments`, so that latents do not vary between runs."""
        return self.moments(frames)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Decodes latents of one clip `(f, c, h, w)` to frames `(f, 3, side * h, side * w)`, about [-1, 1]."""
        return self.last(self.decoder(self.post_quant_conv(latents)))
