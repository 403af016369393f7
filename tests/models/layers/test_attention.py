"""Batches beyond a backend's limit are split, and nothing else changes."""

import torch
from layers import clip_of, noise
from torch import nn
from zoetrope.models.layers import attention
from zoetrope.models.layers.positions import NoPositions, Sinusoid, frame_table, sinusoid
from zoetrope.models.layers.temporal import FrameAttention, TextAttention


def test_rows_never_exceed_the_limit_and_the_result_is_the_same() -> None:
    seen: list[int] = []

    def counting(
        q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, heads: int, bias: torch.Tensor | None = None
    ) -> torch.Tensor:
        seen.append(q.shape[0] * heads)
        return attention.scaled_dot_product(q, k, v, heads, bias)

    q, k, v = (noise(20_001, 4, 16, seed=s) for s in range(3))
    bias = noise(1, 8, 4, 4, seed=4)
    out = attention.attend(counting, q, k, v, 8, bias)
    assert max(seen) <= attention.ROW_LIMIT
    assert sum(seen) == 20_001 * 8
    assert len(seen) == 3
    assert torch.allclose(out, attention.scaled_dot_product(q, k, v, 8, bias), atol=1e-6)


def test_a_bias_per_row_is_split_along() -> None:
    q, k, v = (noise(20_001, 2, 8, seed=s) for s in range(3))
    bias = noise(20_001, 8, 2, 2, seed=4)
    out = attention.attend(attention.scaled_dot_product, q, k, v, 8, bias)
    assert torch.allclose(out, attention.scaled_dot_product(q, k, v, 8, bias), atol=1e-6)


def test_text_attention_equals_the_plain_way_of_copying_the_text_to_every_pixel() -> None:
    layer = TextAttention(32, 2, 16, 24, "clip", nn)
    b, p, f = 2, 6, 4
    x, context = noise(b * p, f, 32), noise(b * f, 7, 24, seed=1)
    first = context[::f].repeat_interleave(p, dim=0)
    plain = layer.to_out(attention.scaled_dot_product(layer.to_q(x), layer.to_k(first), layer.to_v(first), 2))
    assert torch.allclose(layer(x, clip_of(f, context=context)), plain, atol=1e-6)


def test_text_attention_per_frame_reads_each_frames_own_words() -> None:
    layer = TextAttention(32, 2, 16, 24, "frame", nn)
    x, context = noise(6, 4, 32), noise(4, 7, 24, seed=1)
    changed = context.clone()
    changed[2] = noise(7, 24, seed=5)
    before, after = layer(x, clip_of(4, context=context)), layer(x, clip_of(4, context=changed))
    differs = (before - after).abs().amax(dim=(0, 2)) > 1e-4
    assert differs.tolist() == [False, False, True, False]


def test_frames_without_positions_may_be_shuffled_and_with_a_sinusoid_not() -> None:
    order = torch.tensor([2, 0, 3, 1])
    x = noise(5, 4, 32)
    for positions, same in ((NoPositions(), True), (Sinusoid(8, 32), False)):
        layer = FrameAttention(32, 2, 16, positions, nn)
        ours, shuffled = layer(x, clip_of(4)), layer(x[:, order], clip_of(4))
        assert torch.allclose(ours[:, order], shuffled, atol=1e-6) is same


def test_the_frame_table_interleaves_what_the_sinusoid_has_in_halves() -> None:
    table, halves = frame_table(9, 16)[0], sinusoid(torch.arange(9), 16)
    assert torch.allclose(table[:, 0::2], halves[:, 8:], atol=1e-6)
    assert torch.allclose(table[:, 1::2], halves[:, :8], atol=1e-6)
