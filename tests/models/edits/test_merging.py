"""Token merging across frames: any number of frames, scores in blocks, zero tokens, halves by themselves; the edit."""

from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor, nn
from zoetrope.models.backbones.places import Places
from zoetrope.models.edits import merging
from zoetrope.models.edits.merging import MergeInputs, OtherWindows, TokenMerging, level_of, match_frames, match_sets

DRAWS = (0.3, 0.8, 0.1, 0.6, 0.9, 0.4, 0.2)


def step_by_step(tokens: Tensor, frames: int, ratio: float, group: int) -> tuple[set[int], dict[int, int]]:
    """What is kept, and what stands for each token, by dictionaries: VidToMe's rule with leftover tokens kept apart."""
    count = tokens.shape[0] // frames
    remaining = [list(range(frame * count, (frame + 1) * count)) for frame in range(frames)]
    left: list[int] = []
    target = {token: token for token in range(len(tokens))}
    unit = tokens / tokens.norm(dim=-1, keepdim=True)
    for draw in DRAWS:
        if len(remaining) == 1:
            break
        stride = min(group, len(remaining))
        first = int(draw * stride)
        chosen = [frame for number, frame in enumerate(remaining) if number % stride == first]
        sources = [token for frame in remaining if frame not in chosen for token in frame]
        destinations = [token for frame in chosen for token in frame] + left
        scores = unit[sources] @ unit[destinations].T
        ranked = sorted(range(len(sources)), key=lambda row: -float(scores[row].max()))
        merging = ranked[: int(len(sources) * ratio)]
        into = {sources[row]: destinations[int(scores[row].argmax())] for row in merging}
        target = {token: into.get(one, one) for token, one in target.items()}
        left += [sources[row] for row in ranked if row not in merging]
        remaining = chosen
    return set(remaining[0] + left), target


@pytest.mark.parametrize(("frames", "group"), [(2, 4), (4, 4), (5, 4), (7, 2), (16, 4), (17, 4), (23, 3), (40, 4), (64, 4)])
def test_any_number_of_frames(frames: int, group: int) -> None:
    tokens = noise(2, frames * 9, 8, seed=frames)
    matching = match_frames(tokens, frames, 0.8, DRAWS, group)
    for item in range(2):
        kept, target = step_by_step(tokens[item], frames, 0.8, group)
        assert set(matching.kept[item].tolist()) == kept
        assert len(matching.kept[item]) == len(kept)
        found = matching.kept[item][matching.replaced_by[item]]
        assert found.tolist() == [target[token] for token in range(len(tokens[item]))]
    kept_tokens = matching.merge(tokens)
    assert torch.equal(matching.unmerge(kept_tokens).gather(1, matching.kept[..., None].expand(-1, -1, 8)), kept_tokens)


@pytest.mark.parametrize("draw", [0.0, 0.99])
def test_five_frames_have_one_or_two_destinations(draw: float) -> None:
    """0 draws frames 0 and 4, and another pass merges these two; 3 is drawn alone."""
    tokens = noise(1, 5 * 10, 6)
    matching = match_frames(tokens, 5, 0.9, (draw, 0.5))
    assert matching.kept.shape[1] == {0.0: 3 + 1 + 10, 0.99: 4 + 10}[draw]


def test_one_frame_and_a_ratio_of_0_keep_all_tokens_as_they_are() -> None:
    tokens = noise(2, 12, 4)
    for frames, ratio in ((1, 0.9), (3, 0.0)):
        matching = match_frames(tokens, frames, ratio, ())
        assert torch.equal(matching.merge(tokens), tokens)
        assert torch.equal(matching.unmerge(tokens), tokens)


def test_blocks_of_scores_and_halves_by_themselves_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = noise(2, 6 * 20, 8)
    whole = match_frames(tokens, 6, 0.7, DRAWS)
    alone = [match_frames(tokens[item : item + 1], 6, 0.7, DRAWS) for item in range(2)]
    assert torch.equal(torch.cat([one.kept for one in alone]), whole.kept)
    assert torch.equal(torch.cat([one.replaced_by for one in alone]), whole.replaced_by)
    monkeypatch.setattr(merging, "SCORES", 100)
    blocks = match_frames(tokens, 6, 0.7, DRAWS)
    assert torch.equal(blocks.kept, whole.kept)
    assert torch.equal(blocks.replaced_by, whole.replaced_by)


def test_tokens_without_direction_and_tokens_alike_have_an_order_too() -> None:
    tokens = torch.zeros(1, 4 * 6, 5)
    tokens[:, 12:] = 1.0
    for dtype in (torch.float32, torch.float16):
        matching = match_frames(tokens.to(dtype), 4, 0.5, (0.5,))
        assert matching.kept.shape == (1, 6 + 9)
        assert int(matching.replaced_by.max()) < 15
        assert matching.kept[0].tolist() == match_frames(tokens, 4, 0.5, (0.5,)).kept[0].tolist()
    kept = set(match_frames(tokens, 4, 0.5, (0.5,)).kept[0].tolist())
    assert not kept & set(range(18, 24))  # those like the drawn frame's tokens merge first, zeros are similar to none


def test_half_precision_matches_by_scores_in_float32() -> None:
    tokens = noise(1, 4 * 30, 16).half()
    half, full = match_frames(tokens, 4, 0.9, (0.3,)), match_frames(tokens.float(), 4, 0.9, (0.3,))
    assert torch.equal(half.kept, full.kept)
    assert half.merge(tokens).dtype == torch.float16


def test_aligned_items_share_a_matching() -> None:
    tokens = noise(3, 4 * 9, 8)
    matching = match_frames(tokens, 4, 0.8, (0.3,), aligned=True)
    assert all(torch.equal(matching.kept[0], one) for one in matching.kept)
    joined = match_sets(tokens, 20, 0.5, aligned=True)
    assert all(torch.equal(joined.replaced_by[0], one) for one in joined.replaced_by)
    assert joined.kept.shape == (3, 16 + 10)
    assert not torch.equal(match_sets(tokens, 20, 0.5).kept[0], match_sets(tokens, 20, 0.5).kept[1])


def test_levels_of_places() -> None:
    places = ("down.0.1.attention.0", "down.2.0.attention.0", "mid.attention.0", "up.0.0.attention.0", "up.3.2.attention.1")
    assert [level_of(place, 4) for place in places] == [1, 3, 4, 4, 1]


SIZES = [((64, 64), 2, (4096, 1024)), ((9, 13), 2, (117, 35)), ((7, 7), 1, (49,))]


@pytest.mark.parametrize(("latent", "levels", "tokens"), SIZES)
def test_levels_count_by_token_ratio(latent: tuple[int, int], levels: int, tokens: tuple[int, ...]) -> None:
    inputs = MergeInputs(4, 4, latent, DRAWS, levels=levels)
    height, width = latent
    sizes = [-(-height // 2**level) * -(-width // 2**level) for level in range(4)]
    assert tuple(size for size in sizes if inputs.merges(size)) == tokens
    assert not any(MergeInputs(4, 4, latent, DRAWS, levels=0).merges(size) for size in sizes)


class Block(nn.Module):
    """What a transformer block is for this edit."""

    def __init__(self) -> None:
        from diffusers.models.attention_processor import Attention

        super().__init__()
        torch.manual_seed(0)
        self.norm1, self.attn1 = nn.LayerNorm(16), Attention(16, heads=2, dim_head=8)

    def forward(self, x: Tensor) -> Tensor:
        return self.attn1(self.norm1(x)) + x


def installed() -> tuple[Block, TokenMerging]:
    transformer, edit = nn.Module(), TokenMerging()
    transformer.transformer_blocks = nn.ModuleList([Block()])
    block: Any = transformer.transformer_blocks[0]
    edit.install(None, Places({"mid.attention": (transformer, 16)}, {}, {"mid.attention.0": block.attn1}))
    return block, edit


@torch.inference_mode()
def test_the_edit_merges_while_it_has_inputs_and_leaves_nothing() -> None:
    block, edit = installed()
    x = noise(8, 12, 16)  # two clips of four frames
    plain = block(x)
    alike = noise(2, 1, 12, 16, seed=3).expand(2, 4, 12, 16).reshape(8, 12, 16)
    expected = block(alike)
    edit.give(inputs := MergeInputs(4, 8, (3, 4), DRAWS))
    assert not torch.allclose(block(x), plain, atol=1e-3)
    assert edit.acted == {"mid.attention.0"}
    # frames that are alike: what a frame's tokens merge into is a token like its own
    assert torch.allclose(block(alike).reshape(2, 4, 12, 16)[:, :1], block(alike).reshape(2, 4, 12, 16), atol=1e-5)
    assert torch.allclose(block(alike), expected, atol=0.2)
    edit.give(MergeInputs(4, 8, (12, 16), DRAWS))  # tokens of a deeper level
    assert torch.equal(block(x), plain)
    edit.give(inputs)
    edit.give(None)
    assert torch.equal(block(x), plain)
    edit.remove()
    assert not block.norm1._forward_hooks


@torch.inference_mode()
def test_similar_frames_come_out_more_alike() -> None:
    block, edit = installed()
    frames = noise(1, 12, 16) + 0.4 * noise(4, 12, 16, seed=5)

    def spread() -> float:
        return float((block(frames) - frames).var(dim=0).mean())

    plain = spread()
    edit.give(MergeInputs(4, 4, (3, 4), DRAWS))
    assert spread() < 0.5 * plain


@torch.inference_mode()
def test_windows_of_one_frame_merge_with_the_window_before() -> None:
    block, edit = installed()
    before: dict[Any, Tensor] = {}
    for frames in (3, 1, 2):
        now: dict[Any, Tensor] = {}
        x = noise(2 * frames, 12, 16, seed=frames)
        edit.give(None)
        plain = block(x)
        others = OtherWindows(before, now, (("a",), ("b",)), 0.8, True)
        edit.give(MergeInputs(frames, 2 * frames, (3, 4), DRAWS, others=others))
        assert not torch.allclose(block(x), plain, atol=1e-3)
        stored = dict(now)
        block(x)  # a node that calls the model once more
        assert all(now[name] is tokens for name, tokens in stored.items())
        assert set(now) == {("mid.attention.0", "a"), ("mid.attention.0", "b")}
        before = now
    half_known = OtherWindows({("mid.attention.0", "a"): before["mid.attention.0", "a"]}, {}, (("a",), ("b",)), 0.8, True)
    assert half_known.at("mid.attention.0") is None
    by_second_name = OtherWindows(before, {}, (("x", "a"), ("b",)), 0.8, True)
    assert by_second_name.at("mid.attention.0") is not None


@torch.inference_mode()
def test_another_nodes_tokens_are_refused_in_words() -> None:
    block, edit = installed()
    edit.give(MergeInputs(4, 8, (3, 4), DRAWS))
    with pytest.raises(ValueError, match=r"expected tokens of 8 frames at mid.attention.0, got 4 rows. Another node"):
        block(noise(4, 12, 16))
    block.attn1.register_forward_pre_hook(lambda module, args: (args[0][:, :5],))
    with pytest.raises(ValueError, match=r"merged tokens from the self-attention mid.attention.0.*HyperTile, Token Merging"):
        block(noise(8, 12, 16))


def test_gradients_pass_through_merged_tokens() -> None:
    block, edit = installed()
    edit.give(MergeInputs(4, 4, (3, 4), DRAWS))
    x = noise(4, 12, 16).requires_grad_()
    block(x).square().sum().backward()
    assert x.grad is not None
    assert bool(x.grad.isfinite().all())
