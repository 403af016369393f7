"""SVD's temporal layers: a residual block over frames after each spatial one, a transformer block after each spatial one.

Stable Video Diffusion (arXiv 2311.15127); names after generative-models' `VideoResBlock` and `SpatialVideoTransformer`. Both
are blended as alpha * spatial + (1 - alpha) * temporal with one alpha per site; in SVD's VAE decoder alpha weights the temporal
side.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .blend import Alpha
from .positions import NoPositions, sinusoid
from .temporal import FeedForward, FrameAttention, TemporalBlock, TemporalContext, TemporalLayer, TextAttention
from .tokens import TokenLayer


class TimeStackConv(TemporalLayer):
    """Two stages of GroupNorm over the clip, SiLU and a (3,1,1) convolution, with the time embedding added in between."""

    def __init__(self, channels: int, embedding: int | None, blend: Alpha, ops: Any):
        """embedding   width of the time embedding; None in a VAE, which has none"""
        super().__init__(channels, blend)
        self.timed = embedding is not None
        self.norms = nn.ModuleList(ops.GroupNorm(32, channels, eps=1e-5) for _ in range(2))
        self.convs = nn.ModuleList(ops.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0)) for _ in range(2))
        self.from_time = ops.Linear(embedding, channels) if embedding else None

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        x = rearrange(x, "(b f) c h w -> b c f h w", f=clip.frames)
        h = self.convs[0](F.silu(self.norms[0](x)))
        if self.from_time is not None:
            h = h + self._time(self.from_time, clip)
        h = self.convs[1](F.silu(self.norms[1](h)))
        return rearrange(x + h, "b c f h w -> (b f) c h w")

    def _time(self, from_time: nn.Module, clip: TemporalContext) -> Tensor:
        if clip.embedding is None:
            raise ValueError("this motion module needs the time embedding, but the host passed none to the residual block")
        return rearrange(from_time(F.silu(clip.embedding)), "(b f) c -> b c f 1 1", f=clip.frames)


class TimeStackBlock(TokenLayer):
    """Embedding of the frame index, feed-forward, attention over frames, attention to frame 0's text, feed-forward."""

    def __init__(self, channels: int, heads: int, context: int, blend: Alpha, ops: Any):
        super().__init__(channels, blend)
        self.index_in = ops.Linear(channels, 4 * channels)
        self.index_out = ops.Linear(4 * channels, channels)
        self.norm_in = ops.LayerNorm(channels)
        self.ff_in = FeedForward(channels, ops)
        over_frames = FrameAttention(channels, heads, channels // heads, NoPositions(), ops)
        to_text = TextAttention(channels, heads, channels // heads, context, "clip", ops)
        self.block = TemporalBlock(channels, [over_frames, to_text], ops)

    def over_frames(self, x: Tensor, clip: TemporalContext) -> Tensor:
        index = sinusoid(torch.arange(clip.frames, device=x.device), self.channels).to(x.dtype)  # (f, d)
        x = x + self.index_out(F.silu(self.index_in(index)))
        return self.block(x + self.ff_in(self.norm_in(x)), clip)
