"""Temporal layers: attention over frames, convolution over frames. They know one clip and no UNet.

Axes: b clips, f frames, c channels, h w space, n sequences, d token width. A layer takes and gives `(b f) c h w`, so an
image UNet that sees frames as its batch never notices. `ops` is the namespace of the leaf layers: `torch.nn`, or the host's
own (`comfy.ops.manual_cast`), which then decides about dtype and device of the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from .attention import AttentionFunction, attend
from .positions import Beyond, NoPositions
from .strength import Strength, check_strength, over_pictures, over_pixels

Scope = Literal["frame", "clip"]
"""What a GroupNorm averages over: one frame, or all frames of the clip together. A property of the family."""


WIDEST_ON_CPU = 5 << 19
"""Elements of the feed-forward's hidden layer at a time: 10 MiB in float32, about what a core's cache and allocator recycle
(benchmarks/motion.py: 1.6 to 1.9 times faster than all pixels at once)."""

WIDEST = 1 << 28
"""The same on a GPU, where only memory bounds it: 512 MiB in half precision."""


@dataclass(frozen=True)
class TemporalContext:
    """What a temporal layer is told at each call."""

    frames: int
    """Frames per clip: the batch is `b * frames` rows, frame index fastest."""
    strength: Strength
    context: Tensor | None
    """Text tokens `(b f) n d`, for layers that attend to the prompt."""
    attention: AttentionFunction
    amount: Strength | tuple[Strength, ...] = 1.0
    """Multiplies the keys of attention over frames: more or less motion. Several: one per attention of a layer, in turn."""
    fps: float | None = None
    """For families that are told the frame rate."""
    beyond: Beyond = "refuse"
    """How positions are made for clips longer than their table."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the latent."""
    embedding: Tensor | None = None
    """The time embedding `(b f) e` that the UNet gives its residual blocks; there only."""

    def __post_init__(self) -> None:
        amounts = self.amount if isinstance(self.amount, tuple) else (self.amount,)
        for name, dial in (("strength", self.strength), *(("amount", amount) for amount in amounts)):
            if not isinstance(dial, Tensor):  # a look into a tensor would wait for the GPU; hosts check theirs once
                check_strength(name, dial)

    def at(self, factor: float) -> "TemporalContext":
        """The same clip with its strength multiplied."""
        return self if factor == 1 else replace(self, strength=self.strength * factor)

    def of_attention(self, index: int) -> "TemporalContext":
        """What the attention of this number in a layer is told."""
        return replace(self, amount=self.amount[index % len(self.amount)]) if isinstance(self.amount, tuple) else self


class FeedForward(nn.Module):
    """GEGLU with exact GELU (Shazeer 2020), hidden width 4d."""

    def __init__(self, width: int, ops: Any):
        super().__init__()
        self.proj_in = ops.Linear(width, 8 * width)
        self.proj_out = ops.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:  # (n, f, d) -> (n, f, d)
        hidden, gate = self.proj_in(x).chunk(2, dim=-1)
        return self.proj_out(hidden * F.gelu(gate))


class FrameAttention(nn.Module):
    """Self-attention over the frames at each pixel."""

    def __init__(self, width: int, heads: int, head_width: int, positions: NoPositions, ops: Any):
        super().__init__()
        self.heads = heads
        self.positions = positions
        self.to_q = ops.Linear(width, heads * head_width, bias=False)
        self.to_k = ops.Linear(width, heads * head_width, bias=False)
        self.to_v = ops.Linear(width, heads * head_width, bias=False)
        self.to_out = ops.Linear(heads * head_width, width)

    def forward(self, x: Tensor, clip: TemporalContext) -> Tensor:  # (n, f, d) -> (n, f, d)
        x = self.positions.on_tokens(x, clip.beyond)
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        if isinstance(clip.amount, Tensor) or clip.amount != 1:
            k = k * clip.amount
        return self.to_out(self.positions.attend(clip.attention, q, k, v, self.heads))


class TextAttention(nn.Module):
    """Cross-attention from every frame's pixels to the text (SVD's `time_stack` has one to its image token).

    reach  `frame`: each frame reads its own tokens, so a prompt may change along the shot; `clip`: all read frame 0's (SVD).
    Keys do not depend on the pixel, so sequences are regrouped by picture instead of copying the text h*w times.
    """

    def __init__(self, width: int, heads: int, head_width: int, context: int, reach: Scope, ops: Any):
        super().__init__()
        self.heads = heads
        self.reach = reach
        self.to_q = ops.Linear(width, heads * head_width, bias=False)
        self.to_k = ops.Linear(context, heads * head_width, bias=False)
        self.to_v = ops.Linear(context, heads * head_width, bias=False)
        self.to_out = ops.Linear(heads * head_width, width)

    def forward(self, x: Tensor, clip: TemporalContext) -> Tensor:  # (n, f, d) -> (n, f, d), n = (b p)
        if clip.context is None:
            raise ValueError("this motion module attends to the text, but the host passed no text context; connect a prompt")
        b = clip.context.shape[0] // clip.frames
        if self.reach == "frame":
            context, group, back = clip.context, "(b p) f d -> (b f) p d", "(b f) p d -> (b p) f d"
        else:
            context, group, back = clip.context[:: clip.frames], "(b p) f d -> b (p f) d", "b (p f) d -> (b p) f d"
        q = rearrange(self.to_q(x), group, b=b, f=clip.frames)
        out = attend(clip.attention, q, self.to_k(context), self.to_v(context), self.heads)
        return self.to_out(rearrange(out, back, b=b, f=clip.frames))


class TemporalBlock(nn.Module):
    """Attentions, each with its own norm and residual, then a feed-forward."""

    def __init__(self, width: int, attentions: list[nn.Module], ops: Any):
        super().__init__()
        self.attentions = nn.ModuleList(attentions)
        self.norms = nn.ModuleList(ops.LayerNorm(width) for _ in attentions)
        self.ff_norm = ops.LayerNorm(width)
        self.ff = FeedForward(width, ops)

    def forward(self, x: Tensor, clip: TemporalContext) -> Tensor:  # (n, f, d) -> (n, f, d)
        for index, (norm, attention) in enumerate(zip(self.norms, self.attentions, strict=True)):
            x = x + attention(norm(x), clip.of_attention(index))
        return x + self.ff(self.ff_norm(x))


class TemporalLayer(nn.Module):
    """What a motion module holds at one site: a branch over the clip, and the blend that joins it to the picture."""

    sees = "pictures"
    """What it is shown and gives back: `pictures`, `tokens` or `rows` (models/backbones/unet.py)."""
    timed = False
    """Whether it is told the time embedding (`clip.embedding`) as the residual block before it is."""

    def __init__(self, channels: int, blend: nn.Module):
        super().__init__()
        self.channels = channels
        self.blend = blend

    def strength(self, x: Tensor, clip: TemporalContext) -> Strength:
        """The clip's strength, shaped to multiply x."""
        return over_pictures(clip.strength, x, clip.frames)

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        """x, result `(b f) c h w`: the residual's change, or the temporal side of an alpha blend."""
        raise NotImplementedError

    def forward(self, x: Tensor, clip: TemporalContext) -> Tensor:
        return self.blend(x, self.branch(x, clip), self.strength(x, clip))


class TemporalTransformer(TemporalLayer):
    """GroupNorm, linear in, blocks over the frames at each pixel, linear out (AnimateDiff's temporal transformer)."""

    def __init__(self, channels: int, blocks: list[TemporalBlock], inner: int, scope: Scope, blend: nn.Module, ops: Any):
        super().__init__(channels, blend)
        self.scope: Scope = scope
        self.norm = ops.GroupNorm(32, channels, eps=1e-6)
        self.proj_in = ops.Linear(channels, inner)
        self.blocks = nn.ModuleList(blocks)
        self.proj_out = ops.Linear(inner, channels)

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        h, w = x.shape[-2:]
        pictures = group_norm(self.norm, x, clip.frames, self.scope)
        x = rearrange(pictures, "(b f) c h w -> b f c (h w)", f=clip.frames)
        step = self._pixels_at_once(x)
        told = split_over_pixels(clip, pictures, step)
        parts = [self._over_frames(part, each) for part, each in zip(x.split(step, dim=-1), told, strict=True)]
        return rearrange(torch.cat(parts, dim=-1), "b f c (h w) -> (b f) c h w", h=h, w=w)

    def _over_frames(self, x: Tensor, clip: TemporalContext) -> Tensor:  # b f c p -> b f c p
        b = x.shape[0]
        x = self.proj_in(rearrange(x, "b f c p -> (b p) f c"))
        for block in self.blocks:
            x = block(x, clip)
        return rearrange(self.proj_out(x), "(b p) f c -> b f c p", b=b)

    def _pixels_at_once(self, x: Tensor) -> int:
        """How many pixels of every clip to take at a time, so that the widest activation stays within reach. Pixels do not
        see each other here, so the size of a part does not change what is computed."""
        b, f, _, p = x.shape
        reach = WIDEST_ON_CPU if x.device.type == "cpu" else WIDEST
        return max(1, min(p, reach // (b * f * 8 * self.proj_in.out_features)))


class TemporalConv(TemporalLayer):
    """Stages of GroupNorm over the clip, SiLU and a (3,1,1) convolution, zero-padded at the clip's ends.

    Align Your Latents 3.1 (two stages); ModelScope and VideoCrafter's `temopral_conv` (four).
    """

    def __init__(self, channels: int, stages: int, blend: nn.Module, ops: Any):
        super().__init__(channels, blend)
        self.norms = nn.ModuleList(ops.GroupNorm(32, channels, eps=1e-5) for _ in range(stages))
        self.convs = nn.ModuleList(ops.Conv3d(channels, channels, (3, 1, 1), padding=(1, 0, 0)) for _ in range(stages))

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        x = rearrange(x, "(b f) c h w -> b c f h w", f=clip.frames)
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = conv(F.silu(norm(x)))
        return rearrange(x, "b c f h w -> (b f) c h w")


def split_over_pixels(clip: TemporalContext, x: Tensor, step: int) -> list[TemporalContext]:
    """What each slice of `step` pixels of x `(b f) c h w` is told: a mask of amounts is cut along."""
    count = -(-x.shape[-2] * x.shape[-1] // step)
    amounts = clip.amount if isinstance(clip.amount, tuple) else (clip.amount,)
    if not any(isinstance(amount, Tensor) for amount in amounts):
        return [clip] * count
    cut = [_cut(over_pixels(amount, x, clip.frames), step, count) for amount in amounts]
    return [_with_amount(clip, parts) for parts in zip(*cut, strict=True)]


def _cut(amount: Strength, step: int, count: int) -> list[Strength]:
    if not isinstance(amount, Tensor):
        return [amount] * count
    return [rearrange(part, "b f p -> (b p) f 1") for part in amount.split(step, dim=-1)]


def _with_amount(clip: TemporalContext, amounts: tuple[Strength, ...]) -> TemporalContext:
    one, *more = amounts
    return replace(clip, amount=amounts if more else one)


def group_norm(norm: Callable[[Tensor], Tensor], x: Tensor, frames: int, scope: Scope) -> Tensor:
    """Applies a GroupNorm to `(b f) c h w`, per frame or over each whole clip."""
    if scope == "frame":
        return norm(x)
    x = norm(rearrange(x, "(b f) c h w -> b c f h w", f=frames))
    return rearrange(x, "b c f h w -> (b f) c h w")
