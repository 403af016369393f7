"""Temporal layers inside a spatial transformer (on tokens) and on the time embedding (on rows)."""

from dataclasses import replace
from typing import Any

from einops import rearrange, repeat
from torch import Tensor
from torch.nn import functional as F

from .blend import Residual
from .positions import sinusoid
from .strength import Strength, over_rows, over_tokens
from .temporal import FrameAttention, TemporalContext, TemporalLayer


class TokenLayer(TemporalLayer):
    """Temporal layer on tokens `(b f) (h w) d`, as inside a spatial transformer."""

    sees = "tokens"

    def strength(self, x: Tensor, clip: TemporalContext) -> Strength:
        return over_tokens(clip.strength, x, clip.frames, clip.size)

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        """As in `TemporalLayer`; x and result `(b f) (h w) d`."""
        tokens = rearrange(x, "(b f) p d -> (b p) f d", f=clip.frames)
        change = self.over_frames(tokens, replace(clip, amount=self._amounts(x, clip)))
        return rearrange(change, "(b p) f d -> (b f) p d", p=x.shape[1])

    def over_frames(self, x: Tensor, clip: TemporalContext) -> Tensor:
        """The branch on sequences over frames; x and result `(b p) f d`."""
        raise NotImplementedError

    def _amounts(self, x: Tensor, clip: TemporalContext) -> Strength | tuple[Strength, ...]:
        if isinstance(clip.amount, tuple):
            return tuple(self._amount(amount, x, clip) for amount in clip.amount)
        return self._amount(clip.amount, x, clip)

    def _amount(self, amount: Strength, x: Tensor, clip: TemporalContext) -> Strength:
        spread = over_tokens(amount, x, clip.frames, clip.size)
        return rearrange(spread, "(b f) p 1 -> (b p) f 1", f=clip.frames) if isinstance(spread, Tensor) else spread


class InBlockAttention(TokenLayer):
    """LayerNorm and attention over frames as a residual inside a block of a spatial transformer (LaVie, LVDM)."""

    def __init__(self, attention: FrameAttention, width: int, ops: Any):
        super().__init__(width, Residual())
        self.norm = ops.LayerNorm(width)
        self.attention = attention

    def over_frames(self, x: Tensor, clip: TemporalContext) -> Tensor:
        return self.attention(self.norm(x), clip.of_attention(0))


class FrameRate(TemporalLayer):
    """Adds an embedding of the frame rate to the time embedding: sinusoid, linear, SiLU, linear (VideoCrafter's
    `fps_embedding`; in DynamiCrafter the frame stride or the rate)."""

    sees = "rows"

    def __init__(self, width: int, channels: int, ops: Any):
        super().__init__(channels, Residual())
        self.width = width
        self.proj_in = ops.Linear(width, channels)
        self.proj_out = ops.Linear(channels, channels)

    def strength(self, x: Tensor, clip: TemporalContext) -> Strength:
        return over_rows(clip.strength, x, clip.frames)

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        """As in `TemporalLayer`; x and result `(b f) e`."""
        if clip.fps is None:
            raise ValueError("this motion module needs a frame rate; set conditioning_fps above 0 in Motion Settings")
        rates = x.new_full((1,), clip.fps)
        embedding = self.proj_out(F.silu(self.proj_in(sinusoid(rates, self.width).to(x.dtype))))
        return repeat(embedding, "1 e -> n e", n=x.shape[0])
