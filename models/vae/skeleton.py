"""The skeleton that autoencoders after LDM share: levels of residual blocks, a middle with attention, the way down and up.

Rombach et al. 2022 (arXiv 2112.10752). Names are LDM's, so published keys are ours. What a convolution, a norm or a resampling
is, a family says: 2-D over frames `(f, c, h, w)` (Stable Diffusion) or 3-D over clips `(b, c, t, h, w)` (CV-VAE).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

Layer = Callable[[int, int], nn.Module]
Half = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Parts:
    """What one side of an autoencoder is made of."""

    conv: Layer
    """(channels in, channels out) -> a convolution 3 wide that keeps the size: the edges, and the first of each block."""
    second: Layer
    """The second convolution of each block."""
    point: Layer
    """A block's shortcut, 1 wide."""
    norm: Half
    """(channels) -> the norm before each convolution of a block and the last one."""
    attention: Half
    resample: Layer
    """(channels, level) -> what stands between this level and the one it leads to."""
    half: Half
    """What follows each residual block: a half over time, or nothing."""


class ResBlock(nn.Module):
    """Norm, SiLU, convolution, twice, beside a shortcut; then the half over time."""

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
    def __init__(self, channels: int, parts: Parts):
        super().__init__()
        self.block_1 = ResBlock(channels, channels, parts)
        self.attn_1 = parts.attention(channels)
        self.block_2 = ResBlock(channels, channels, parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class Stage(nn.Module):
    """The residual blocks of one level, and what leads on, under the name that LDM gives it."""

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
    """widths: channels per level, largest picture first; every level but the last ends with `resample`."""

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
    """Levels are numbered as in the encoder: the last one is the first to run. blocks: one more than the encoder's."""

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
        """From what the first convolution made."""
        x = self.mid(x)
        for stage in reversed(self.up):
            x = stage(x)
        return self.conv_out(F.silu(self.norm_out(x)))
