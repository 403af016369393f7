"""Encoder and decoder that autoencoders after LDM share: levels of residual blocks, a middle block with attention.

Rombach et al. 2022 (arXiv 2112.10752). Module names are LDM's, so published keys are ours. Convolutions, norms and resampling
depend on the family (`Parts`): 2-D over frames `(f, c, h, w)` (Stable Diffusion) or 3-D over clips `(b, c, t, h, w)` (CV-VAE).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

Layer = Callable[[int, int], nn.Module]
"""Builds a module from two numbers, as documented in `Parts`."""
Half = Callable[[int], nn.Module]
"""Builds a module from its number of channels."""


@dataclass(frozen=True)
class Parts:
    """Building blocks of an encoder or a decoder."""

    conv: Layer
    """(channels in, channels out) -> a convolution of width 3 that preserves the size: first and last layer, and the first
    convolution of each block."""
    second: Layer
    """(channels in, channels out) -> the second convolution of each block."""
    point: Layer
    """(channels in, channels out) -> the shortcut of a block, a convolution of width 1."""
    norm: Half
    """(channels) -> the norm before each convolution of a block and before the last one."""
    attention: Half
    """(channels) -> the attention of the middle block."""
    resample: Layer
    """(channels, level) -> the down- or upsampler after this level."""
    half: Half
    """(channels) -> the temporal part after each residual block, or the identity."""


class ResBlock(nn.Module):
    """Residual block: norm, SiLU, convolution, twice, plus a shortcut; then the temporal part."""

    def __init__(self, channels_in: int, channels: int, parts: Parts):
        super().__init__()
        self.norm1 = parts.norm(channels_in)
        self.conv1 = parts.conv(channels_in, channels)
        self.norm2 = parts.norm(channels)
        self.conv2 = parts.second(channels, channels)
        self.nin_shortcut = parts.point(channels_in, channels) if channels_in != channels else nn.Identity()
        self.time = parts.half(channels)

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h)))
        return self.time(self.nin_shortcut(x) + h)


class Middle(nn.Module):
    """Residual block, attention, residual block."""

    def __init__(self, channels: int, parts: Parts):
        super().__init__()
        self.block_1 = ResBlock(channels, channels, parts)
        self.attn_1 = parts.attention(channels)
        self.block_2 = ResBlock(channels, channels, parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Stage(nn.Module):
    """Residual blocks of one level and its resampler, whose module has the name in LDM. before: channels of the input."""

    def __init__(self, before: int, width: int, blocks: int, parts: Parts, name: str, resample: nn.Module | None):
        super().__init__()
        self.block = nn.ModuleList(ResBlock(before if n == 0 else width, width, parts) for n in range(blocks))
        self.add_module(name, resample or nn.Identity())
        self.name = name

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        return self.get_submodule(self.name)(x)


class Encoder(nn.Module):
    """Encoder of an autoencoder.

    widths   channels per level, highest resolution first; every level but the last ends with a resampler
    blocks   residual blocks per level
    out      channels of the output
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, out: int, parts: Parts):
        super().__init__()
        self.conv_in = parts.conv(3, widths[0])
        last = len(widths) - 1
        self.down = nn.ModuleList(
            Stage(before, width, blocks, parts, "downsample", parts.resample(width, level) if level < last else None)
            for level, (before, width) in enumerate(pairwise((widths[0], *widths)))
        )
        self.mid = Middle(widths[-1], parts)
        self.norm_out = parts.norm(widths[-1])
        self.conv_out = parts.conv(widths[-1], out)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for stage in self.down:
            x = stage(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x))))


class Decoder(nn.Module):
    """Decoder of an autoencoder. Levels are numbered as in the encoder, so the last one runs first.

    widths   channels per level, highest resolution first
    blocks   residual blocks per level, one more than in the encoder
    latent   channels of the input
    """

    def __init__(self, widths: tuple[int, ...], blocks: int, latent: int, parts: Parts):
        super().__init__()
        self.conv_in = parts.conv(latent, widths[-1])
        self.mid = Middle(widths[-1], parts)
        self.up = nn.ModuleList(
            Stage(before, width, blocks, parts, "upsample", parts.resample(width, level) if level > 0 else None)
            for level, (width, before) in enumerate(pairwise((*widths, widths[-1])))
        )
        self.norm_out = parts.norm(widths[0])
        self.conv_out = parts.conv(widths[0], 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.onwards(self.conv_in(x))

    def onwards(self, x: Tensor) -> Tensor:
        """Everything after the first convolution."""
        x = self.mid(x)
        for stage in reversed(self.up):
            x = stage(x)
        return self.conv_out(F.silu(self.norm_out(x)))
