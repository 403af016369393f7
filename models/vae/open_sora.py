"""Open-Sora 1.2's autoencoder: an image autoencoder, and a causal one over its latents that compresses time by 4.

hpcaitech/Open-Sora v1.2.0, after MAGVIT-v2. Clips are encoded in independent blocks of 17 frames, 5 latents each. A block is
padded with 3 empty image latents in front; the frames decoded from them are discarded.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .causal import CausalConv
from .kl import KLVae, Layout

SCALING = 0.18215
"""Scale factor of the image autoencoder's latents; it differs from SDXL's, although the weights are SDXL's."""
BLOCK, PICTURES_AT_ONCE = 5, 4
"""Latents per block; pictures per call of the image autoencoder, as published."""


def conv(before: int, width: int, kernel: int = 3, stride: int = 1, bias: bool = True) -> nn.Module:
    """A causal convolution with zero padding. stride: in time."""
    return CausalConv(before, width, kernel, stride, "constant", bias)


def norm(channels: int) -> nn.Module:
    """A GroupNorm over the clip."""
    return nn.GroupNorm(32, channels, eps=1e-5)


class Block(nn.Module):
    """Residual block: norm, SiLU, causal convolution, twice."""

    def __init__(self, before: int, width: int):
        super().__init__()
        self.norm1, self.norm2 = norm(before), norm(width)
        self.conv1, self.conv2 = conv(before, width, bias=False), conv(width, width, bias=False)
        self.conv3 = conv(before, width, 1, bias=False) if before != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x)))
        return self.conv3(x) + self.conv2(F.silu(self.norm2(h)))


class Stretch(nn.Module):
    """Doubles the number of frames by halving the channels."""

    def forward(self, x: Tensor) -> Tensor:
        return rearrange(x, "b (c n) t h w -> b c (t n) h w", n=2)


def stages(before: int, widths: list[int], blocks: int) -> nn.ModuleList:
    """Sequences of residual blocks, one for each width. before: channels of the first input."""
    inputs = [before, *widths[:-1]]
    return nn.ModuleList(
        nn.Sequential(*(Block(channels if n == 0 else width, width) for n in range(blocks)))
        for channels, width in zip(inputs, widths, strict=True)
    )


class TimeEncoder(nn.Module):
    """Temporal encoder: levels of residual blocks; time is halved after every level but the first and the last."""

    def __init__(self, channels: int, widths: tuple[int, ...], blocks: int, out: int):
        super().__init__()
        last = len(widths) - 1
        self.conv_in = conv(channels, widths[0], bias=False)
        self.block_res_blocks = stages(widths[0], list(widths), blocks)
        self.conv_blocks = nn.ModuleList(
            conv(widths[n], widths[n], stride=2) if n > 0 else nn.Identity() for n in range(last)
        )  # fmt: skip
        self.res_blocks = stages(widths[last], [widths[last]], blocks)[0]
        self.norm1 = norm(widths[last])
        self.conv2 = conv(widths[last], out, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for level, blocks in enumerate(self.block_res_blocks):
            x = blocks(x)
            x = self.conv_blocks[level](x) if level < len(self.conv_blocks) else x
        return self.conv2(F.silu(self.norm1(self.res_blocks(x))))


class TimeDecoder(nn.Module):
    """Temporal decoder, with levels numbered as in the encoder."""

    def __init__(self, channels: int, widths: tuple[int, ...], blocks: int, latent: int):
        super().__init__()
        last = len(widths) - 1
        self.conv1 = conv(latent, widths[last])
        self.res_blocks = stages(widths[last], [widths[last]], blocks)[0]
        self.block_res_blocks = nn.ModuleList(reversed(stages(widths[last], list(reversed(widths)), blocks)))
        self.conv_blocks = nn.ModuleList(
            conv(widths[n + 1], 2 * widths[n + 1]) if n > 0 else nn.Identity() for n in range(last)
        )  # fmt: skip
        self.stretch = Stretch()
        self.norm1 = norm(widths[0])
        self.conv_out = conv(widths[0], channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.res_blocks(self.conv1(x))
        for level in reversed(range(len(self.block_res_blocks))):
            x = self.block_res_blocks[level](x)
            if level > 1:
                x = self.stretch(self.conv_blocks[level - 1](x))
        return self.conv_out(F.silu(self.norm1(x)))


class TimeVae(nn.Module):
    """Causal autoencoder over the latents of an image autoencoder."""

    def __init__(self, channels: int, widths: tuple[int, ...], blocks: int, latent: int):
        super().__init__()
        self.encoder = TimeEncoder(channels, widths, blocks, 2 * latent)
        self.decoder = TimeDecoder(channels, widths, blocks, latent)
        self.quant_conv, self.post_quant_conv = conv(2 * latent, 2 * latent, 1), conv(latent, latent, 1)


class OpenSoraVae(nn.Module):
    """Open-Sora's network.

    spatial          layout of the image autoencoder
    widths, blocks   channels and residual blocks per level of the temporal autoencoder
    latent           channels of its latents
    """

    def __init__(self, spatial: Layout, widths: tuple[int, ...], blocks: int, latent: int):
        super().__init__()
        self.spatial = KLVae(spatial)
        self.temporal = TimeVae(spatial.latent, widths, blocks, latent)
        self.side, self.each, self.block = self.spatial.side, 2 ** (len(widths) - 2), BLOCK
        self.latent = latent
        self.register_buffer("scale", torch.ones(1, latent, 1, 1, 1))
        self.register_buffer("shift", torch.zeros(1, latent, 1, 1, 1))

    def encode(self, clip: Tensor) -> Tensor:
        """Encodes clips `(b, 3, f, h, w)` in [-1, 1] to normalised means `(b, c, t, h / side, w / side)`, block by block."""
        pictures = rearrange(clip, "b c f h w -> (b f) c h w")
        inner = torch.cat([self.spatial.encode(part) for part in pictures.split(PICTURES_AT_ONCE)]) * SCALING
        inner = rearrange(inner, "(b f) c h w -> b c f h w", b=clip.shape[0])
        parts = [self._squeezed(part) for part in inner.split(self.each * (BLOCK - 1) + 1, dim=2)]
        return (torch.cat(parts, dim=2) - self.scale_and_shift[1]) / self.scale_and_shift[0]

    def _squeezed(self, inner: Tensor) -> Tensor:
        padded = F.pad(inner, (0, 0, 0, 0, -inner.shape[2] % self.each, 0))
        return self.temporal.quant_conv(self.temporal.encoder(padded)).chunk(2, dim=1)[0]

    def decode(self, latents: Tensor) -> Tensor:
        """Decodes latents `(b, c, t, h, w)` to clips `(b, 3, f, side * h, side * w)`; n latents of a block are
        1 + each * (n - 1) frames."""
        scale, shift = self.scale_and_shift
        parts = [self._stretched(part) for part in (latents * scale + shift).split(BLOCK, dim=2)]
        inner = rearrange(torch.cat(parts, dim=2), "b c f h w -> (b f) c h w") / SCALING
        pictures = torch.cat([self.spatial.decode(part) for part in inner.split(PICTURES_AT_ONCE)])
        return rearrange(pictures, "(b f) c h w -> b c f h w", b=latents.shape[0])

    def _stretched(self, latents: Tensor) -> Tensor:
        return self.temporal.decoder(self.temporal.post_quant_conv(latents))[:, :, self.each - 1 :]

    @property
    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Scale and shift `(1, c, 1, 1, 1)` of the normalised latents."""
        return self.get_buffer("scale"), self.get_buffer("shift")
