"""SparseCtrl files in both spellings, and where pictures stand in a clip. The network itself runs in the host's tests."""

from pathlib import Path

import formats
import golden
import parity
import pytest
import torch
from layers import clip_of
from safetensors.torch import save_file
from zoetrope.models.formats.keytable import KeyTable, prefixed
from zoetrope.models.motion.families.animatediff.module import layer_rows, transformer
from zoetrope.models.motion.families.animatediff.sparsectrl import load_sparsectrl, place, sparsectrl_from, spread


@pytest.mark.parametrize("path", golden.claim("motion_module_sparsectrl*"))
@torch.inference_mode()
def test_its_temporal_layer(path: Path) -> None:
    """One self-attention, where AnimateDiff's own modules have two."""
    tensors, _ = golden.read(path)
    weights = {key.removeprefix("w."): value for key, value in tensors.items() if key.startswith("w.")}
    table = KeyTable(prefixed(layer_rows("pe"), "temporal_transformer.", "down.0.0.out."))
    ours, left = table.rename(weights)
    assert not left
    layer = transformer("down.0.0.out", {key: tuple(value.shape) for key, value in ours.items()}, "frame", torch.nn)
    layer.load_state_dict({key.removeprefix("down.0.0.out."): value for key, value in ours.items()})
    x = tensors["input"]
    out = layer(x.transpose(1, 2).flatten(0, 1), clip_of(x.shape[2]))
    error = (out - tensors["output"].transpose(1, 2).flatten(0, 1)).abs().max().item()
    assert parity.within("SparseCtrl", path.stem, "core", error, 2e-5)


@pytest.mark.parametrize(
    ("name", "kind", "keys"),
    [
        ("sparsectrl_rgb_v3", "rgb", 486),
        ("sparsectrl_scribble_v3", "scribble", 500),
        ("diffusers_sparsectrl_rgb", "rgb", 486),
        ("diffusers_sparsectrl_scribble", "scribble", 500),
    ],
)
def test_published_list_maps_and_maps_back(name: str, kind: str, keys: int) -> None:
    tensors = formats.published(name)
    opened = sparsectrl_from(tensors, name)
    assert (opened.kind, len(tensors), len(opened.motion.widths)) == (kind, keys, 8)
    assert opened.layout["channel_mult"] == [1, 2, 4, 4]
    assert opened.layout["transformer_depth"] == [1, 1, 1, 1, 1, 1, 0, 0]
    assert {k: v.shape for k, v in opened.published().items()} == {k: v.shape for k, v in tensors.items()}
    parity.mapped("SparseCtrl", kind, name, keys, 8)


def test_pictures_are_spread_over_the_clip_or_stand_where_they_are_told() -> None:
    assert spread(1, 16) == [0]
    assert spread(3, 17) == [0, 8, 16]
    assert place("", 4, 16) == [0, 5, 10, 15]
    assert place("0, 8, -1", 3, 16) == [0, 8, 15]
    assert place("24, 0", 2, None) == [24, 0]
    assert place("", 1, None) == [0]


@pytest.mark.parametrize(
    ("text", "count", "frames", "message"),
    [
        ("0, x", 2, 16, "whole numbers separated by commas .* got '0, x'"),
        ("0, 3", 3, 16, "a number for each of 3 pictures, got 2"),
        ("0, 16", 2, 16, "from 0 to 15 in a clip of 16 frames, got '0, 16'"),
        ("3, -13", 2, 16, "expected a different frame for each picture, got '3, -13'"),
        ("-1", 1, None, "a long shot has no end to count from, got -1"),
        ("", 2, None, "a long shot has no length to spread pictures over"),
        ("", 17, 16, "at most 16 pictures for a clip of 16 frames, got 17"),
    ],
)
def test_a_place_that_is_none_is_refused(text: str, count: int, frames: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        place(text, count, frames)


def test_other_files_are_refused_with_their_name_and_where_they_belong(tmp_path: Path) -> None:
    save_file({"input_hint_block.0.weight": torch.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(
        ValueError,
        match=r"c.safetensors: this is not a SparseCtrl but a ControlNet \(.*\): load it with core's Load ControlNet",
    ):
        load_sparsectrl(tmp_path / "c.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(
        ValueError,
        match=r"a.safetensors: this is not a SparseCtrl that .* Expected keys of SparseCtrl, such as controlnet_mid_block",
    ):
        load_sparsectrl(tmp_path / "a.safetensors")
    tensors = {key: value for key, value in formats.published("sparsectrl_rgb_v3").items() if "middle" not in key}
    half = {key: value for key, value in tensors.items() if not key.startswith("mid_block.")}
    with pytest.raises(ValueError, match="looks like SparseCtrl, but its tensors do not make a complete network"):
        sparsectrl_from(half, "half")
    whole = {key: value for key, value in tensors.items() if not key.endswith("norms.0.weight")}
    with pytest.raises(ValueError, match=r"lacks keys: down_blocks.0.motion_modules.0.temporal_transformer"):
        sparsectrl_from(whole, "whole")


def test_a_value_that_is_not_finite_is_named_by_the_files_own_key() -> None:
    tensors = dict(formats.published("sparsectrl_rgb_v3"))
    key = "controlnet_mid_block.weight"
    tensors[key] = torch.full(tensors[key].shape, torch.nan)
    with pytest.raises(ValueError, match="controlnet_mid_block.weight"):
        sparsectrl_from(tensors, "broken")
