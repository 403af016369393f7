"""Position encodings of temporal attention: none, sinusoidal, rotary, relative table, T5 bias.

Each encoding overrides one stage of attention (`on_tokens`, `on_heads`, `bias`, `attend`); a layer calls all of them. Tables
are leaf modules and are cast where they are used, because a host may store them in another dtype or on another device.
"""

import math
from typing import Literal

import torch
from einops import einsum, rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import AttentionFunction, attend

Beyond = Literal["refuse", "stretch", "repeat last"]
"""Handling of clips longer than a position table: `refuse` raises an error, `stretch` interpolates the table over the clip,
`repeat last` uses its last entry for all further frames."""


def sinusoid(values: Tensor, width: int, *, sin_first: bool = False, shift: int = 0, base: float = 10_000.0) -> Tensor:
    """Sinusoidal embedding `(n,) -> (n, width)`: `[cos | sin]` halves, frequencies `base^(-i / (width/2 - shift))`.

    The defaults are those of LDM, SVD and ModelScope time embeddings; diffusers calls them `flip_sin_to_cos=True,
    downscale_freq_shift=0` (sgm `timestep_embedding`, diffusers `get_timestep_embedding`).
    """
    half = width // 2
    rates = torch.exp(-math.log(base) * torch.arange(half, dtype=torch.float32) / (half - shift)).to(values.device)
    angles = values.float()[:, None] * rates
    halves = (angles.sin(), angles.cos()) if sin_first else (angles.cos(), angles.sin())
    return torch.cat(halves, dim=-1)


def frame_table(frames: int, width: int, base: float = 10_000.0) -> Tensor:
    """Position table `(1, frames, width)`: sines on even and cosines on odd channels ("Attention Is All You Need", 3.5)."""
    rates = torch.exp(-math.log(base) * torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.arange(frames, dtype=torch.float32)[:, None] * rates
    return rearrange([angles.sin(), angles.cos()], "two f i -> 1 f (i two)")


def lengthened(table: Tensor, frames: int, beyond: Beyond) -> Tensor:
    """The first `frames` rows of a table `(1, n, d)`; where it is too short it is extended by the method `beyond`."""
    length = table.shape[1]
    if frames <= length or beyond == "refuse":
        return table[:, :frames]
    if beyond == "repeat last":
        return torch.cat([table, table[:, -1:].expand(-1, frames - length, -1)], dim=1)
    stretched = F.interpolate(rearrange(table.float(), "1 n d -> 1 d n"), frames, mode="linear", align_corners=True)
    return rearrange(stretched, "1 d n -> 1 n d")


def rotary_angles(frames: int, dims: int, base: float = 10_000.0) -> Tensor:
    """Rotation angles `(frames, dims/2)`: frame index times `base^(-2i/dims)` (RoFormer, section 3.2.2)."""
    rates = base ** (-torch.arange(0, dims, 2, dtype=torch.float32) / dims)
    return torch.arange(frames, dtype=torch.float32)[:, None] * rates


def t5_buckets(distance: Tensor, buckets: int, furthest: int) -> Tensor:
    """Bucket of each relative position `key - query` (T5, section 2.1): half of the buckets for each direction, of which the
    first half are exact and the others logarithmic.

    distance   integers of any shape; the result has the same shape
    furthest   distances from here on share the last bucket
    """
    half = buckets // 2
    exact = half // 2
    direction = (distance > 0).long() * half
    size = distance.abs()
    coarse = exact + (torch.log(size.clamp(min=1).float() / exact) / math.log(furthest / exact) * (half - exact)).long()
    return direction + torch.where(size < exact, size, coarse.clamp(max=half - 1))


class NoPositions(nn.Module):
    """No position encoding; base class with the stages that encodings override."""

    def on_tokens(self, x: Tensor, beyond: Beyond = "refuse") -> Tensor:
        """Adds positions to the tokens `(n, f, d)` before the projections to q, k and v."""
        return x

    def on_heads(self, q: Tensor, k: Tensor, heads: int) -> tuple[Tensor, Tensor]:
        """Adds positions to q and k `(n, f, heads*e)`."""
        return q, k

    def bias(self, like: Tensor) -> Tensor | None:
        """Bias of the logits `(1, heads, f, f)` for `like` `(n, f, ...)`; None for none."""
        return None

    def attend(self, attention: AttentionFunction, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        """Attention over frames: q, k, v and result `(n, f, heads*e)`."""
        q, k = self.on_heads(q, k, heads)
        return attend(attention, q, k, v, heads, self.bias(q))


class Sinusoid(NoPositions):
    """Table of the file, added to the normalised tokens before q, k and v (AnimateDiff's `pos_encoder.pe`)."""

    def __init__(self, frames: int, width: int):
        super().__init__()
        self.pe = nn.Parameter(frame_table(frames, width))  # (1, frames, width)

    def on_tokens(self, x: Tensor, beyond: Beyond = "refuse") -> Tensor:
        return x + lengthened(self.pe, x.shape[1], beyond).to(x.device, x.dtype)


class FormulaSinusoid(NoPositions):
    """Sinusoidal table computed at each call, for files that hold none (AnimateLCM). frames: its length."""

    def __init__(self, frames: int, width: int):
        super().__init__()
        self.frames = frames
        self.width = width

    def on_tokens(self, x: Tensor, beyond: Beyond = "refuse") -> Tensor:
        return x + lengthened(frame_table(self.frames, self.width), x.shape[1], beyond).to(x.device, x.dtype)


class SharedPositions(NoPositions):
    """Positions of another attention: some files store one table for both attentions of a block (diffusers' adapters)."""

    def __init__(self, owner: NoPositions):
        super().__init__()
        self._owner = (owner,)  # in a tuple, because a registered submodule would repeat the table's key

    def on_tokens(self, x: Tensor, beyond: Beyond = "refuse") -> Tensor:
        return self._owner[0].on_tokens(x, beyond)


class Rotary(NoPositions):
    """Rotary positions on the first `dims` channels of every head, pairs interleaved (LaVie, SEINE, Upscale-A-Video)."""

    def __init__(self, dims: int):
        super().__init__()
        self.dims = dims

    def on_heads(self, q: Tensor, k: Tensor, heads: int) -> tuple[Tensor, Tensor]:
        angles = rotary_angles(q.shape[1], self.dims).to(q.device)  # (f, dims/2)
        return self._rotate(q, angles, heads), self._rotate(k, angles, heads)

    def _rotate(self, x: Tensor, angles: Tensor, heads: int) -> Tensor:
        x = rearrange(x, "n f (h e) -> n f h e", h=heads)
        even, odd = x[..., 0 : self.dims : 2].float(), x[..., 1 : self.dims : 2].float()
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]  # (f, 1, dims/2)
        rotated = rearrange([even * cos - odd * sin, even * sin + odd * cos], "two n f h i -> n f h (i two)")
        return rearrange(torch.cat([rotated.to(x.dtype), x[..., self.dims :]], dim=-1), "n f h e -> n f (h e)")


class T5Bias(NoPositions):
    """Learned bias of the logits per head and bucketed distance (LaVie's `time_rel_pos_bias`)."""

    def __init__(self, heads: int, buckets: int, furthest: int):
        super().__init__()
        self.furthest = furthest
        self.weight = nn.Parameter(torch.zeros(buckets, heads))

    def bias(self, like: Tensor) -> Tensor:
        frame = torch.arange(like.shape[1], device=like.device)
        buckets = t5_buckets(frame[None] - frame[:, None], self.weight.shape[0], self.furthest)
        return rearrange(self.weight.to(like.device, like.dtype)[buckets], "q k h -> 1 h q k")


class RotaryT5(Rotary):
    """Rotary positions and T5 bias together (LaVie's temporal attention)."""

    def __init__(self, dims: int, heads: int, buckets: int, furthest: int):
        super().__init__(dims)
        self.relative = T5Bias(heads, buckets, furthest)

    def bias(self, like: Tensor) -> Tensor:
        return self.relative.bias(like)


class RelativeTable(NoPositions):
    """Learned vectors per clamped distance, for keys and for values (VideoCrafter 1; Shaw et al. 2018, equations 3 and 4).

    The term for values needs the attention weights, which fused kernels do not return, so attention is computed step by step.
    """

    def __init__(self, furthest: int, head_width: int):
        super().__init__()
        self.furthest = furthest
        self.keys = nn.Parameter(torch.zeros(2 * furthest + 1, head_width))
        self.values = nn.Parameter(torch.zeros(2 * furthest + 1, head_width))

    def attend(self, attention: AttentionFunction, q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
        q, k, v = (rearrange(x, "n t (h e) -> n h t e", h=heads) for x in (q, k, v))
        frame = torch.arange(q.shape[2], device=q.device)
        distance = (frame[None] - frame[:, None]).clamp(-self.furthest, self.furthest) + self.furthest
        to_key, to_value = (table.to(q.device, q.dtype)[distance] for table in (self.keys, self.values))  # (f, f, e)
        logits = einsum(q, k, "n h i e, n h j e -> n h i j") + einsum(q, to_key, "n h i e, i j e -> n h i j")
        weights = (logits * q.shape[-1] ** -0.5).softmax(dim=-1)
        out = einsum(weights, v, "n h i j, n h j e -> n h i e") + einsum(weights, to_value, "n h i j, i j e -> n h i e")
        return rearrange(out, "n h t e -> n t (h e)")
