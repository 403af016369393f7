"""Sparse-causal attention by hooks: which frames a frame attends to, tiles, attentions that others replace, strengths."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from layers import clip_of, noise
from torch import Tensor, nn
from zoetrope.models.backbones.places import Places
from zoetrope.models.edits.sparse_causal import SparseCausal, SparseCausalInputs, of_first_and_before


def test_each_frame_gets_the_first_and_the_one_before() -> None:
    tokens = torch.arange(8.0).reshape(8, 1, 1)  # two clips of four frames
    expected = [[0, 0], [0, 0], [0, 1], [0, 2], [4, 4], [4, 4], [4, 5], [4, 6]]
    assert of_first_and_before(tokens, 4, 8)[..., 0].tolist() == expected


def test_tiles_attend_to_the_same_tile_of_other_frames() -> None:
    rows = torch.tensor([0.0, 0.1, 1.0, 1.1, 2.0, 2.1]).reshape(6, 1, 1)  # three frames of two tiles
    found = of_first_and_before(rows, 3, 3)[..., 0]
    assert torch.allclose(found, torch.tensor([[0, 0], [0.1, 0.1], [0, 0], [0.1, 0.1], [0, 1], [0.1, 1.1]]))
    strips = torch.tensor([[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]])[..., None]  # tokens whole, queries in two tiles
    found = of_first_and_before(strips, 3, 3, strips=2)[..., 0]
    assert torch.allclose(found[2], torch.tensor([0, 1, 0.1, 1.1]))
    with pytest.raises(ValueError, match=r"expected tokens of 4 frames.*got 6 rows. Another node has changed the batch"):
        of_first_and_before(rows, 4, 4)


def attention_and_places() -> tuple[Any, Places]:
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    attention = Attention(16, heads=2, dim_head=8)
    return attention, Places({"mid.attention": (nn.Identity(), 16)}, {}, {"mid.attention.0": attention})


def output(attention: Any, places: Places, x: Tensor, strength: Any) -> Tensor:
    edit = SparseCausal()
    edit.install(None, places)
    edit.give(SparseCausalInputs(replace(clip_of(4, strength), size=(2, 3)), len(x)))
    out = attention(x)
    edit.remove()
    return out


@torch.inference_mode()
def test_strength_blends_the_outcome_and_hooks_leave_nothing() -> None:
    attention, places = attention_and_places()
    x = noise(4, 6, 16)
    plain, whole = attention(x), output(attention, places, x, 1.0)
    assert (whole - plain).abs().max() > 1e-3
    assert torch.allclose(output(attention, places, x, 0.5), (plain + whole) / 2, atol=1e-6)
    by_frame = output(attention, places, x, torch.tensor([0.0, 1.0, 0.0, 1.0]).reshape(4, 1, 1))
    assert torch.allclose(by_frame[::2], plain[::2], atol=1e-6)
    assert torch.allclose(by_frame[1::2], whole[1::2], atol=1e-6)
    mask = torch.tensor([[1.0, 1, 1], [0, 0, 0]]).expand(4, 2, 3)
    masked = output(attention, places, x, mask)
    assert torch.allclose(masked[:, :3], whole[:, :3], atol=1e-6)
    assert torch.allclose(masked[:, 3:], plain[:, 3:], atol=1e-6)
    assert torch.equal(attention(x), plain)


@torch.inference_mode()
def test_a_mask_is_refused_where_tokens_are_no_picture_any_more() -> None:
    attention, places = attention_and_places()
    with pytest.raises(ValueError, match=r"strength mask: expected the tokens of a 2x3 picture.*HyperTile, Token Merging"):
        output(attention, places, noise(4, 5, 16), torch.ones(4, 2, 3))


@torch.inference_mode()
def test_a_replaced_attention_is_given_the_frames_own_tokens() -> None:
    """Guidance nodes call `to_k` and `to_v` by themselves, and expect as many keys as queries."""
    attention, places = attention_and_places()
    x = noise(4, 6, 16)
    edit = SparseCausal()
    edit.install(None, places)
    edit.give(SparseCausalInputs(clip_of(4, 1.0), 4))
    assert attention.to_v(x).shape == (4, 6, 16)
