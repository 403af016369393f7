"""Networks that project the output of an image encoder to tokens of the text's width.

`states` are tokens of an image encoder `(b, n, d)`; a linear projector gets its pooled embedding as one token `(b, 1, d)`.
Formulas: IP-Adapter (arXiv 2308.06721), tencent-ailab/IP-Adapter 62e4af9; the resampler is Flamingo's (2204.14198, 3.1);
VideoCrafter1 (2310.19512) and DynamiCrafter (2310.12190) use the same one with other sizes.
"""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ..layers.attention import scaled_dot_product


class LinearProjector(nn.Module):
    """A linear layer from the pooled embedding to all tokens, and a norm (IP-Adapter's `ImageProjModel`)."""

    def __init__(self, states: int, width: int, tokens: int, ops: Any):
        """states: width of the embedding; width: width of the tokens."""
        super().__init__()
        self.states, self.width, self.tokens = states, width, tokens
        self.proj = ops.Linear(states, width * tokens)
        self.norm = ops.LayerNorm(width)

    def forward(self, states: Tensor) -> Tensor:  # (b, 1, d) -> (b, n, width)
        return self.norm(rearrange(self.proj(states), "b 1 (n d) -> b n d", n=self.tokens))


class Queries(nn.Module):
    """Learned queries of a resampler; a leaf module, cast where it is used, because a host may store it on another device."""

    def __init__(self, count: int, width: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(1, count, width))

    def like(self, x: Tensor) -> Tensor:
        """The queries `(b, n, d)` for x `(b, ...)`, on its device and in its dtype."""
        return self.table.to(x.device, x.dtype).expand(x.shape[0], -1, -1)


class PerceiverAttention(nn.Module):
    """Attention of queries to the picture's tokens and to each other; keys and values come from one linear layer."""

    def __init__(self, width: int, heads: int, head_width: int, ops: Any):
        super().__init__()
        self.heads = heads
        self.norm1 = ops.LayerNorm(width)
        self.norm2 = ops.LayerNorm(width)
        self.to_q = ops.Linear(width, heads * head_width, bias=False)
        self.to_kv = ops.Linear(width, 2 * heads * head_width, bias=False)
        self.to_out = ops.Linear(heads * head_width, width, bias=False)

    def forward(self, states: Tensor, queries: Tensor) -> Tensor:  # (b, n, d), (b, m, d) -> (b, m, d)
        queries = self.norm2(queries)
        k, v = self.to_kv(torch.cat([self.norm1(states), queries], dim=1)).chunk(2, dim=-1)
        return self.to_out(scaled_dot_product(self.to_q(queries), k, v, self.heads))


def _forward_layers(width: int, hidden: int, ops: Any) -> nn.Sequential:
    up, down = ops.Linear(width, hidden, bias=False), ops.Linear(hidden, width, bias=False)
    return nn.Sequential(ops.LayerNorm(width), up, nn.GELU(), down)


class Resampler(nn.Module):
    """Learned queries that attend to the picture's tokens in several layers.

    frames   number of frames that share the queries equally, in order (DynamiCrafter); 1: every frame has all of them
    """

    def __init__(
        self, states: int, inner: int, width: int, queries: int, layers: int, heads: int, head_width: int, hidden: int,
        frames: int, ops: Any,
    ):  # fmt: skip
        super().__init__()
        self.states, self.width, self.tokens, self.frames = states, width, queries, frames
        self.latents = Queries(queries, inner)
        self.proj_in = ops.Linear(states, inner)
        self.layers = nn.ModuleList(
            nn.ModuleList([PerceiverAttention(inner, heads, head_width, ops), _forward_layers(inner, hidden, ops)])
            for _ in range(layers)
        )
        self.proj_out = ops.Linear(inner, width)
        self.norm_out = ops.LayerNorm(width)

    def forward(self, states: Tensor) -> Tensor:  # (b, m, d) -> (b, n, width)
        states = self.proj_in(states)
        queries = self.latents.like(states)
        for layer in self.layers:
            attend, forward = list(layer.children())
            queries = queries + attend(states, queries)
            queries = queries + forward(queries)
        return self.norm_out(self.proj_out(queries))
