"""Token merging across frames against VidToMe's code."""

from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from einops import rearrange
from golden_layers import weights_of
from golden_merging import FIRST_TWO_LEVELS, draws_of, merge_inputs, unet_calls
from torch import Tensor
from zoetrope.hosts.diffusers.motion import unet_places
from zoetrope.models.edits.merging import Matching, OtherWindows, TokenMerging, match_frames, merged_tokens


def within(ours: Tensor, theirs: Tensor, path: Path, what: str, share: float = 1e-5) -> bool:
    error, tolerance = (ours - theirs).abs().max().item(), share * theirs.abs().max().item()
    return parity.within("Tokens merged across frames", f"{path.stem} {what}", "core", error, tolerance)


def averages(tokens: Tensor, matching: Matching) -> Tensor:
    """The mean of the tokens that each kept one replaces, itself included: the original's other mode."""
    index = matching.replaced_by[..., None].expand_as(tokens)
    total = torch.zeros(*matching.kept.shape, tokens.shape[-1])
    return total.scatter_reduce(1, index, tokens, "mean", include_self=False)


@pytest.mark.parametrize("path", golden.claim("vidtome_local"))
def test_merging_of_one_windows_frames(path: Path) -> None:
    tensors, header = golden.read(path)
    for case, c in golden.config(header).items():
        x = rearrange(tensors[f"in.{case}.x"], "(b f) n d -> b (f n) d", f=c["frames"])
        draws = draws_of(tensors[f"in.{case}.frame_drawn"], c["frames"], c["target_stride"])
        matching = match_frames(x, c["frames"], c["ratio"], draws, c["target_stride"], c["align_batch"])
        merged = matching.merge(x)
        if c["merge_mode"] == "mean":
            merged = averages(x, matching)
        else:
            assert torch.equal(merged, tensors[f"out.{case}.merged"])
        assert within(merged, tensors[f"out.{case}.merged"], path, f"{case} merged")
        back = rearrange(matching.unmerge(tensors[f"in.{case}.y"]), "b (f n) d -> (b f) n d", f=c["frames"])
        assert torch.equal(back, tensors[f"out.{case}.unmerged"])


@pytest.mark.parametrize("path", golden.claim("vidtome_global"))
def test_merging_with_the_windows_before(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    for step in range(c["steps"]):
        before: dict[Any, Tensor] = {}
        for window, frames in enumerate(c["chunk_lengths"]):
            name = f"s{step}.k{window}"
            inputs = merge_inputs(tensors, f"in.{name}", frames, c, (4, 6), before, now := {})
            merged, matching = merged_tokens(inputs, "mid", tensors[f"in.{name}.x"])
            assert torch.equal(merged, tensors[f"out.{name}.merged"])
            assert matching is not None
            y = merged.tanh() + 0.1 * merged.flip(-1)
            back = rearrange(matching.unmerge(y), "b (f n) d -> (b f) n d", f=frames)
            assert within(back, tensors[f"out.{name}.unmerged"], path, name)
            stored = torch.stack([now["mid", half] for half in range(c["halves"])])
            assert torch.equal(stored, tensors[f"out.{name}.global_tokens"])
            before = now


@pytest.mark.parametrize("path", golden.claim("vidtome_unet"))
@torch.inference_mode()
def test_a_whole_unet(path: Path) -> None:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    tensors, header = golden.read(path)
    c = golden.config(header)
    unet: Any = UNet2DConditionModel.from_config(c)
    unet.load_state_dict(weights_of(tensors))
    unet.eval()
    edit = TokenMerging()
    edit.install(None, unet_places(unet))
    for name, inputs, arguments in unet_calls(tensors, c):
        if name == "s0.k0":
            edit.give(None)
            assert within(unet(*arguments).sample, tensors[f"out.{name}.plain"], path, f"{name} plain", 2e-4)
        edit.acted.clear()
        edit.give(inputs)
        assert within(unet(*arguments).sample, tensors[f"out.{name}.out"], path, name, 2e-4)
        assert edit.acted == FIRST_TWO_LEVELS
        assert isinstance(inputs.others, OtherWindows)
    edit.remove()
