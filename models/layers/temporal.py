"""Temporal layers: attention over frames, convolution over frames. They do not depend on a UNet.

Axes: b clips, f frames, c channels, h w space, n sequences, d token width. Input and output of a layer are `(b f) c h w`, the
batch of an image UNet. `ops` is the namespace of the leaf layers: `torch.nn`, or the host's (`comfy.ops.manual_cast`), which
then chooses dtype and device of the weights.
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
"""Range of a GroupNorm's statistics: one frame, or all frames of the clip together. A property of the family."""


WIDEST_ON_CPU = 5 << 19
"""Elements of the feed-forward's hidden layer at a time: 10 MiB in float32, about what a core's cache and allocator recycle
(benchmarks/motion.py: 1.6 to 1.9 times faster than all pixels at once)."""

WIDEST = 1 << 28
"""The same limit on a GPU, where only memory matters: 512 MiB in half precision."""


@dataclass(frozen=True)
class TemporalContext:
    """Inputs of a temporal layer at each call, besides the hidden states."""

    frames: int
    """Frames per clip: the batch is `b * frames` rows, frame index fastest."""
    strength: Strength
    """Factor of every layer; 0 is the image model."""
    context: Tensor | None
    """Text tokens `(b f) n d`, for layers that attend to the prompt."""
    attention: AttentionFunction
    amount: Strength | tuple[Strength, ...] = 1.0
    """Factor of the keys of attention over frames: more or less motion. Several: one per attention of a layer, in turn."""
    fps: float | None = None
    """Frame rate, for families that are conditioned on it."""
    beyond: Beyond = "refuse"
    """Handling of clips longer than a position table."""
    size: tuple[int, int] = (0, 0)
    """Height and width of the latent."""
    embedding: Tensor | None = None
    """Time embedding `(b f) e` of the residual blocks; only for layers that use it (`timed`)."""

    def __post_init__(self) -> None:
        amounts = self.amount if isinstance(self.amount, tuple) else (self.amount,)
        for name, value in (("strength", self.strength), *(("amount", amount) for amount in amounts)):
            if not isinstance(value, Tensor):  # reading a tensor would wait for the GPU; hosts check tensors once
                check_strength(name, value)

    def at(self, factor: float) -> "TemporalContext":
        """The same clip with its strength multiplied."""
        return self if factor == 1 else replace(self, strength=self.strength * factor)

    def of_attention(self, index: int) -> "TemporalContext":
        """The context for the attention of this index in a layer."""
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
    """Self-attention over the frames at each pixel, `(n, f, d)`."""

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
    """Cross-attention from every frame's pixels to the text (in SVD's `time_stack`, to its image token).

    reach  `frame`: each frame attends to its own tokens, so the prompt may change along the clip; `clip`: all attend to frame
           0's (SVD)
    Keys do not depend on the pixel, so sequences are regrouped by frame instead of copying the text h*w times.
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
    """Layer of a motion module at one site: a branch over the clip, and the blend of its output with the input."""

    sees = "pictures"
    """Kind of its input and output: `pictures`, `tokens` or `rows` (models/backbones/unet.py)."""
    timed = False
    """Whether it uses the time embedding (`clip.embedding`)."""

    def __init__(self, channels: int, blend: nn.Module):
        super().__init__()
        self.channels = channels
        self.blend = blend

    def strength(self, x: Tensor, clip: TemporalContext) -> Strength:
        """The clip's strength in a shape that multiplies x."""
        return over_pictures(clip.strength, x, clip.frames)

    def branch(self, x: Tensor, clip: TemporalContext) -> Tensor:
        """The change of a residual, or the temporal side of an alpha blend. x and result `(b f) c h w`."""
        raise NotImplementedError

    def forward(self, x: Tensor, clip: TemporalContext) -> Tensor:
        return self.blend(x, self.branch(x, clip), self.strength(x, clip))


class TemporalTransformer(TemporalLayer):
    """GroupNorm, linear layer, blocks over the frames at each pixel, linear layer (AnimateDiff's temporal transformer)."""

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
        contexts = split_over_pixels(clip, pictures, step)
        parts = [self._over_frames(part, each) for part, each in zip(x.split(step, dim=-1), contexts, strict=True)]
        return rearrange(torch.cat(parts, dim=-1), "b f c (h w) -> (b f) c h w", h=h, w=w)

    def _over_frames(self, x: Tensor, clip: TemporalContext) -> Tensor:  # b f c p -> b f c p
        b = x.shape[0]
        x = self.proj_in(rearrange(x, "b f c p -> (b p) f c"))
        for block in self.blocks:
            x = block(x, clip)
        return rearrange(self.proj_out(x), "(b p) f c -> b f c p", b=b)

    def _pixels_at_once(self, x: Tensor) -> int:
        """Number of pixels of every clip per part, so that the widest activation stays below a limit. Pixels are independent of
        each other here, so the result does not depend on it."""
        b, f, _, p = x.shape
        limit = WIDEST_ON_CPU if x.device.type == "cpu" else WIDEST
        return max(1, min(p, limit // (b * f * 8 * self.proj_in.out_features)))


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
    """Contexts of the slices of `step` pixels of x `(b f) c h w`; a mask of amounts is cut in the same way."""
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
