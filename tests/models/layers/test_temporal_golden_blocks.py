"""Temporal layers inside blocks against the original codes: ModelScope, LaVie, Upscale-A-Video."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import golden
import pytest
import torch
from einops import rearrange, repeat
from golden_layers import weights_of, within
from layers import clip_of
from torch import nn
from zoetrope.models.backbones.places import Places
from zoetrope.models.edits.temporal import TemporalEdit, TemporalInputs
from zoetrope.models.layers.temporal import TemporalLayer
from zoetrope.models.motion.families.upscale_a_video import LAVIE_VSR, UPSCALE_A_VIDEO
from zoetrope.models.motion.family import Contents
from zoetrope.models.motion.loading import take_apart
from zoetrope.models.motion.module import MotionModule


def only_layer(published: dict[str, torch.Tensor], site: str, **notes: int) -> TemporalLayer:
    """The layer at `site` of a file with these keys; said: what its header tells."""
    header = {f"zoetrope.{name}": str(value) for name, value in notes.items()}
    return take_apart(published, header, "golden", 0).motion.layer(site)


@pytest.mark.parametrize("path", golden.claim("lavie_base_block*", "lavie_interp_block*"))
@torch.inference_mode()
def test_lavies_blocks(path: Path) -> None:
    """In diffusers' block, hooked where a motion module would be: attention over frames before the feed-forward, or after it,
    in the interpolation model, whose first attention looks at frame 0 and the frame before."""
    between = "interp" in path.stem
    tensors, header = golden.read(path)
    c = golden.config(header)
    weights = weights_of(tensors)
    site = "down.0.0.block" if between else "down.0.0.before_ff"
    edges = {"down_blocks.0.resnets.0.norm1.bias": torch.zeros(1), "conv_in.weight": torch.zeros(1, 4, 3, 3)}
    temporal = {f"down_blocks.0.attentions.0.transformer_blocks.0.{k}": v for k, v in weights.items() if "_temp" in k}
    layer = only_layer(temporal | edges, site, heads=c["heads"])
    spatial, x, context = diffusers_block(c, {k: v for k, v in weights.items() if "_temp" not in k}, tensors)
    motion = MotionModule({site: layer}, None, sparse_causal=between)
    module = spatial if between else spatial.norm3
    out = in_place(
        motion, Places({site: (module, c["dim"])}, {}, {"down.0.0.attention.0": spatial.attn1}), spatial, x, context, c
    )
    assert within(out, tensors["out.out"], path)


@pytest.mark.parametrize("path", golden.claim("uav_block_*"))
@torch.inference_mode()
def test_the_upscalers_block_with_and_without_self_attention(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    weights = weights_of(tensors)
    spatial, x, context = diffusers_block(c, {k: v for k, v in weights.items() if "_temporal" not in k}, tensors)
    attention = {k.removeprefix("attn_temporal."): v for k, v in weights.items() if k.startswith("attn_temporal.")}
    ours = {"attention." + k.replace("to_out.0", "to_out"): v for k, v in attention.items() if k.startswith("to_")}
    ours["attention.positions.relative.weight"] = attention["time_rel_pos_bias.relative_attention_bias.weight"]
    ours |= {f"norm.{p}": weights[f"norm_temporal.{p}"] for p in ("weight", "bias")}
    contents = Contents({f"down.0.0.before_ff.{k}": tuple(v.shape) for k, v in ours.items()}, {}, {}, {})
    layer = UPSCALE_A_VIDEO.build(contents, nn)["down.0.0.before_ff"]
    layer.load_state_dict(ours)
    motion = MotionModule({"down.0.0.before_ff": layer}, None)
    out = in_place(motion, Places({"down.0.0.before_ff": (spatial.norm3, c["dim"])}, {}), spatial, x, context, c)
    assert within(out, tensors["out.out"], path)


@pytest.mark.parametrize("path", golden.claim("uav_temporal_module", "lavie_vsr_temporal_module*"))
@torch.inference_mode()
def test_the_module_behind_a_level(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    family, level = (LAVIE_VSR, "down_temporal_blocks") if "vsr" in path.stem else (UPSCALE_A_VIDEO, "down_temp_blocks")
    published = {f"{level}.0.{key}": value for key, value in weights_of(tensors).items()}
    table = family.spellings[0].table({"down_blocks.0.resnets.0.norm1.bias": (1,)}, "")
    renamed, left = table.rename(published)
    assert not left
    shapes = {key: tuple(value.shape) for key, value in renamed.items()}
    layer = family.build(Contents(shapes, {}, {}, {}), nn)["down.0.end"]
    layer.load_state_dict({key.removeprefix("down.0.end."): value for key, value in renamed.items()})
    clip = replace(clip_of(c["T"]), embedding=repeat(tensors["in.temb"], "b e -> (b f) e", f=c["T"]))
    x = rearrange(tensors["in.x"], "b c f h w -> (b f) c h w")
    assert within(rearrange(layer(x, clip), "(b f) c h w -> b c f h w", f=c["T"]), tensors["out.out"], path)
    assert torch.equal(layer(x, clip.at(0.0)), x)
    half = layer(x, clip.at(0.5))
    assert (half - (x + layer(x, clip)) / 2).abs().max() < 1e-5
    with pytest.raises(ValueError, match="needs the time embedding"):
        layer(x, clip_of(c["T"]))


def diffusers_block(c: dict[str, Any], weights: dict[str, torch.Tensor], tensors: dict[str, torch.Tensor]) -> Any:
    """diffusers' block with these weights, what goes into it, and the text of each frame."""
    from diffusers.models.attention import BasicTransformerBlock

    spatial = BasicTransformerBlock(
        c["dim"], c["heads"], c["dim_head"], cross_attention_dim=c["cross_attention_dim"],
        only_cross_attention=c.get("only_cross_attention", False),
    )  # fmt: skip
    spatial.load_state_dict(weights)
    return spatial, tensors["in.x"], repeat(tensors["in.context"], "b n d -> (b f) n d", f=c["T"])


def in_place(
    motion: MotionModule, places: Places, spatial: Any, x: torch.Tensor, context: torch.Tensor, c: Any
) -> torch.Tensor:
    """What the block makes of x with the motion module in it."""
    injection = TemporalEdit()
    injection.install(motion, places)
    pixels = x.shape[1]
    injection.give(TemporalInputs(replace(clip_of(c["T"]), size=(1, pixels)), c["B"] * c["T"]))
    out = spatial(x, encoder_hidden_states=context)
    injection.give(TemporalInputs(replace(clip_of(c["T"], 0.0), size=(1, pixels)), c["B"] * c["T"]))
    off = spatial(x, encoder_hidden_states=context)
    injection.remove()
    assert torch.equal(off, spatial(x, encoder_hidden_states=context))
    return out
