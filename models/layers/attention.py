"""Attention on batches of any size: calls are split to stay within the limits of the backends."""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

AttentionFunction = Callable[..., Tensor]
"""`(q, k, v, heads, bias=None) -> out`, with q, out `(n, f, heads*e)`, k, v `(n, m, heads*e)`, bias `(1 or n, heads, f, m)`."""

ROW_LIMIT = 65_535
"""Most rows (batch times heads) per call: the y and z size limit of a CUDA grid, which applies to xformers' and torch's kernels
(CUDA C++ Programming Guide, table of technical specifications)."""


def scaled_dot_product(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """torch's attention, used where the host has none of its own."""
    q, k, v = (rearrange(x, "n t (h e) -> n h t e", h=heads) for x in (q, k, v))
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=bias)
    return rearrange(out, "n h t e -> n t (h e)")


def attend(attention: AttentionFunction, q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
    """Calls `attention` on at most `ROW_LIMIT` rows at a time. Shapes as in `AttentionFunction`.

    Temporal attention has one short sequence per pixel, so its batch is large: 2 clips of 64x64 latents are 8,192 sequences,
    or 65,536 rows at 8 heads. A `bias` with more than one entry in its first axis is split in the same way.
    """
    step = max(1, ROW_LIMIT // heads)
    if q.shape[0] <= step:
        return attention(q, k, v, heads, bias)
    parts = []
    for start in range(0, q.shape[0], step):
        rows = slice(start, start + step)
        part = bias if bias is None or bias.shape[0] == 1 else bias[rows]
        parts.append(attention(q[rows], k[rows], v[rows], heads, part))
    return torch.cat(parts)
