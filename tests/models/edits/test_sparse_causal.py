"""Sparse-causal attention by hooks: who looks at whom, and strength in between."""

from dataclasses import replace

import torch
from layers import clip_of, noise
from zoetrope.models.backbones.places import Places
from zoetrope.models.edits.sparse_causal import SparseCausal, of_first_and_before


def test_each_frame_gets_the_first_and_the_one_before() -> None:
    tokens = torch.arange(8.0).reshape(8, 1, 1)  # two clips of four frames
    assert of_first_and_before(tokens, 4)[..., 0].tolist() == [[0, 0], [0, 0], [0, 1], [0, 2], [4, 4], [4, 4], [4, 5], [4, 6]]


@torch.inference_mode()
def test_strength_blends_the_outcome_and_hooks_leave_nothing() -> None:
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    attention, x = Attention(16, heads=2, dim_head=8), noise(4, 6, 16)
    plain = attention(x)
    outs = {}
    for strength in (1.0, 0.5):
        clip = replace(clip_of(4, strength), size=(2, 3))
        edit = SparseCausal()
        edit.install(None, Places({}, {}, {"mid.attention.0": attention}))
        edit.give(clip)
        outs[strength] = attention(x)
        edit.remove()
    assert (outs[1.0] - plain).abs().max() > 1e-3
    assert torch.allclose(outs[0.5], (plain + outs[1.0]) / 2, atol=1e-6)
    assert torch.equal(attention(x), plain)
