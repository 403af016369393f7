"""Attention across frames by hooks: which frames a frame attends to, tiles, attentions that others replace, strengths."""

from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor, nn
from zoetrope.models.backbones.places import Places
from zoetrope.models.edits.frame_table import ALL, EVERY_NTH, FIRST, FIRST_AND_PREVIOUS, GROUPS, OUTSIDE, PREVIOUS, FrameTable
from zoetrope.models.edits.shared_attention import FirstFrame, SharedAttention, SharedInputs, of_frames

SPARSE = FrameTable(FIRST_AND_PREVIOUS)


def test_each_frame_gets_the_first_and_the_one_before() -> None:
    tokens = torch.arange(8.0).reshape(8, 1, 1)  # two clips of four frames
    expected = [[0, 0], [0, 0], [0, 1], [0, 2], [4, 4], [4, 4], [4, 5], [4, 6]]
    assert of_frames(tokens, SPARSE.of(range(4)), 8)[..., 0].tolist() == expected


def test_tiles_attend_to_the_same_tile_of_other_frames() -> None:
    rows = torch.tensor([0.0, 0.1, 1.0, 1.1, 2.0, 2.1]).reshape(6, 1, 1)  # three frames of two tiles
    found = of_frames(rows, SPARSE.of(range(3)), 3)[..., 0]
    assert torch.allclose(found, torch.tensor([[0, 0], [0.1, 0.1], [0, 0], [0.1, 0.1], [0, 1], [0.1, 1.1]]))
    strips = torch.tensor([[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]])[..., None]  # tokens whole, queries in two tiles
    found = of_frames(strips, SPARSE.of(range(3)), 3, strips=2)[..., 0]
    assert torch.allclose(found[2], torch.tensor([0, 1, 0.1, 1.1]))
    with pytest.raises(ValueError, match=r"expected tokens of 4 frames.*got 6 rows. Another node has changed the batch"):
        of_frames(rows, SPARSE.of(range(4)), 4)


def attention_and_places() -> tuple[Any, Places]:
    from diffusers.models.attention_processor import Attention

    torch.manual_seed(0)
    attention = Attention(16, heads=2, dim_head=8)
    return attention, Places({"mid.attention": (nn.Identity(), 16)}, {}, {"mid.attention.0": attention})


def output(attention: Any, places: Places, x: Tensor, strength: Any) -> Tensor:
    edit = SharedAttention()
    edit.install(None, places)
    edit.give(SharedInputs(SPARSE.of(range(4)), len(x), strength, (2, 3)))
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
    edit = SharedAttention()
    edit.install(None, places)
    edit.give(SharedInputs(SPARSE.of(range(4)), 4))
    assert attention.to_v(x).shape == (4, 6, 16)


def test_tables_list_positions_of_absolute_frames() -> None:
    """By hand: a clip of six frames, and a window of it that begins at frame 3."""
    clip, window = range(6), range(3, 7)

    def rows(pattern: str, numbers: Any, **more: Any) -> list[list[int]]:
        return FrameTable(pattern, **more).of(numbers).tolist()

    assert rows(FIRST, clip) == [[0]] * 6
    assert rows(FIRST, window) == [[OUTSIDE]] * 4
    assert rows(FIRST_AND_PREVIOUS, window) == [[OUTSIDE, 0], [OUTSIDE, 0], [OUTSIDE, 1], [OUTSIDE, 2]]
    assert rows(PREVIOUS, [2, 5, 3, 4]) == [[0], [3], [0], [2]]  # in whatever order a window has them
    assert rows(PREVIOUS, window, own=True) == [[0, 0], [0, 1], [1, 2], [2, 3]]
    assert rows(EVERY_NTH, window, every=3) == [[0, 3]] * 4
    assert rows(EVERY_NTH, [4, 5], every=3) == [[0]] * 2
    assert rows(ALL, range(3)) == [[0, 1, 2]] * 3


@pytest.mark.parametrize(("count", "group"), [(6, 3), (7, 3), (2, 3), (9, 9), (5, 1)])
def test_random_groups_hold_every_frame_and_change_with_each_draw(count: int, group: int) -> None:
    table = FrameTable(GROUPS, group=group, seed=7)
    found = table.of(range(count), draw=3)
    assert found.shape == (count, min(group, count))
    assert all(frame in row and len(set(row)) == len(row) for frame, row in enumerate(found.tolist()))
    assert torch.equal(found, table.of(range(count), draw=3))
    if 1 < group < count:
        assert any(not torch.equal(found, table.of(range(count), draw=draw)) for draw in range(4, 9))


def test_unknown_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="frames: expected one of first frame, .*got 'last'"):
        FrameTable("last")
    with pytest.raises(ValueError, match="every: expected 1 frame or more, got 0"):
        FrameTable(EVERY_NTH, every=0)


def test_windows_share_the_keys_of_frame_0_by_part() -> None:
    """Two conditionings; frame 0 is at position 1 of the first window, and absent from the second."""
    stored: dict[Any, Tensor] = {}
    first = torch.arange(4.0).reshape(4, 1, 1)  # (two parts, two frames)
    table = FrameTable(FIRST).of([1, 0])
    out = of_frames(first, table, 4, first=FirstFrame(stored, (("a", 0), ("b", 1)), 1), place="mid.to_k")
    assert out.flatten().tolist() == [1, 1, 3, 3]
    second = 10 + torch.arange(2.0).reshape(2, 1, 1)  # the second conditioning, in a call of its own
    table = FrameTable(FIRST_AND_PREVIOUS).of([4, 5])
    out = of_frames(second, table, 2, first=FirstFrame(stored, (("unknown", 1),), None), place="mid.to_k")
    assert out[..., 0].tolist() == [[3, 10], [3, 10]]
    with pytest.raises(ValueError, match="this window has not got frame 0"):
        of_frames(second, table, 2, first=FirstFrame(stored, (("c",),), None), place="mid.to_k")


@torch.inference_mode()
def test_levels_choose_the_attentions() -> None:
    attention, places = attention_and_places()
    x = noise(4, 6, 16)
    plain, edit = attention(x), SharedAttention()
    edit.install(None, places)
    edit.give(SharedInputs(SPARSE.of(range(4)), 4, levels={"mid": 0.0}))
    assert torch.equal(attention(x), plain)
    assert not edit.acted
    edit.give(SharedInputs(SPARSE.of(range(4)), 4, levels={"up": 0.0}))
    whole = attention(x)
    edit.give(SharedInputs(SPARSE.of(range(4)), 4, levels={"mid": 0.5}))
    assert torch.allclose(attention(x), (plain + whole) / 2, atol=1e-6)
    assert edit.acted == {"mid.attention.0"}
    edit.remove()
