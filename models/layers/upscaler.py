"""Temporal layers of video upscalers: residual blocks over frames, and a module between the levels of a UNet.

Upscale-A-Video (arXiv 2312.06640, 3.2) and LaVie's VSR; sczhou/Upscale-A-Video 10ca1d7, Vchitect/LaVie 6ce851e. All norms
span the clip.
"""

from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .blend import Residual
from .temporal import TemporalContext, TemporalLayer

EPS = 1e-6


class FramesBlock(nn.Module):
    """Two stages of norm over the clip, SiLU and convolution over frames, with the time embedding added in between.

    widths      kernel sizes of the two convolutions in frames
    embedding   width of the time embedding; None: it uses none
    """

    def __init__(self, channels: int, widths: tuple[int, int], embedding: int | None, ops: Any):
        super().__init__()
        self.norms = nn.ModuleList(ops.GroupNorm(32, channels, eps=EPS) for _ in range(2))
        self.convs = nn.ModuleList(self.convolution(channels, width, ops) for width in widths)
        self.from_time = ops.Linear(embedding, channels) if embedding else None

    def convolution(self, channels: int, width: int, ops: Any) -> nn.Module:
        """An empty convolution with a kernel of this size."""
        return ops.Conv3d(channels, channels, (width, 1, 1), padding=(width // 2, 0, 0))

    def convolved(self, index: int, x: Tensor) -> Tensor:
        """Output of one of the convolutions; x and result `b c f h w`."""
        return self.convs[index](x)

    def change(self, x: Tensor, embedding: Tensor | None) -> Tensor:
        """The residual to add to x; x and result `b c f h w`, embedding `b f e`."""
        h = self.convolved(0, F.silu(self.norms[0](x)))
        if self.from_time is not None:
            assert embedding is not None, "expected a time embedding"
            h = h + rearrange(self.from_time(F.silu(embedding)), "b f c -> b c f 1 1")
        return self.convolved(1, F.silu(self.norms[1](h)))


class PictureBlock(FramesBlock):
    """A `FramesBlock` with 2-D convolutions over each frame. widths: kernel sizes in pixels."""

    def convolution(self, channels: int, width: int, ops: Any) -> nn.Module:
        return ops.Conv2d(channels, channels, width, padding=width // 2)

    def convolved(self, index: int, x: Tensor) -> Tensor:
        pictures = self.convs[index](rearrange(x, "b c f h w -> (b f) c h w"))
        return rearrange(pictures, "(b f) c h w -> b c f h w", b=len(x))


class ClipResidual(TemporalLayer):
    """Residual block over frames after a residual block of the image UNet (`resblock_temporal`)."""

    def __init__(self, channels: int, ops: Any):
        super().__init__(channels, Residual())
        self.block = FramesBlock(channels, (3, 3), None, ops)

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        x = rearrange(x, "(b f) c h w -> b c f h w", f=clip.frames)
        return rearrange(self.block.change(x, None), "b c f h w -> (b f) c h w")


class LevelEnd(TemporalLayer):
    """A residual block over frames, one over pixels, and a 1x1 convolution, initially zero (`TemporalModule3D`)."""

    timed = True

    def __init__(self, channels: int, embedding: int, ops: Any):
        super().__init__(channels, Residual())
        self.frames = FramesBlock(channels, (5, 3), embedding, ops)
        self.picture = PictureBlock(channels, (3, 3), embedding, ops)
        self.out = ops.Conv2d(channels, channels, 1)

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        if clip.embedding is None:
            raise ValueError("this motion module needs the time embedding, but the host passed none to the residual blocks")
        embedding = rearrange(clip.embedding, "(b f) e -> b f e", f=clip.frames)
        h = rearrange(x, "(b f) c h w -> b c f h w", f=clip.frames)
        h = h + self.frames.change(h, embedding)
        h = h + self.picture.change(h, embedding)
        return self.out(rearrange(h, "b c f h w -> (b f) c h w"))
