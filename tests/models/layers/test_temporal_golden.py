"""Temporal layers against the original codes: convolutions, VideoCrafter, SVD."""

from dataclasses import replace
from pathlib import Path

import golden
import parity
import pytest
import torch
from einops import rearrange
from golden_layers import weights_of, within
from layers import clip_of, error_of, frames_first
from torch import nn
from unused_options import Causal
from zoetrope.models.formats.keytable import KeyTable, Row
from zoetrope.models.formats.shared_rows import ATTENTION, CONV, TRANSFORMER, TRANSFORMER_AS_CONV
from zoetrope.models.layers.blend import Alpha, Residual
from zoetrope.models.layers.positions import NoPositions, RelativeTable, RotaryT5, sinusoid, t5_buckets
from zoetrope.models.layers.svd import TimeStackBlock, TimeStackConv
from zoetrope.models.layers.temporal import FrameAttention, TemporalBlock, TemporalConv, TemporalLayer, TemporalTransformer
from zoetrope.models.layers.tokens import FrameRate
from zoetrope.models.motion.families import svd


@pytest.mark.parametrize("path", golden.claim("videoldm_*"))
@torch.inference_mode()
def test_alpha_blended_convolution(path: Path) -> None:
    tensors, header = golden.read(path)
    settings = golden.config(header)
    layer = TemporalConv(settings["dim"], 2, Alpha("spatial", "clamp", 1.0), nn)
    weights = {"blend.mix": tensors["w.alpha"]}
    for stage in range(2):
        for ours, theirs in ((f"norms.{stage}", f"w.block{stage + 1}.0"), (f"convs.{stage}", f"w.block{stage + 1}.2")):
            weights |= {f"{ours}.{p}": tensors[f"{theirs}.{p}"] for p in ("weight", "bias")}
    layer.load_state_dict(weights)
    out = layer(tensors["in.x"], clip_of(settings["T"]))
    assert (out - tensors["out.out"]).abs().max() <= 2e-4 * tensors["out.out"].abs().max()


CRAFTER = "VideoCrafter and DynamiCrafter"


@pytest.mark.parametrize("path", golden.claim("lavie_temporal_attention*"))
@torch.inference_mode()
def test_rotary_and_t5_bias(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    rows = KeyTable((*ATTENTION, Row("time_rel_pos_bias.relative_attention_bias.weight", "positions.relative.weight")))
    positions = RotaryT5(c["rotary_dim"], c["heads"], c["rel_pos_buckets"], c["rel_pos_max_distance"])
    layer = FrameAttention(c["query_dim"], c["heads"], c["dim_head"], positions, nn)
    layer.load_state_dict(rows.rename(weights_of(tensors))[0])
    assert within(layer(tensors["in.x"], clip_of(c["T"])), tensors["out.out"], path)
    reach = tensors["out.buckets"].shape[0] // 2
    buckets = t5_buckets(torch.arange(-reach, reach + 1), c["rel_pos_buckets"], c["rel_pos_max_distance"])
    assert torch.equal(buckets, tensors["out.buckets"])
    assert within(rearrange(positions.bias(tensors["in.x"]), "1 h q k -> h q k"), tensors["out.rel_pos_bias"], path)
    q = rearrange(tensors["in.q"], "1 h f e -> 1 f (h e)")
    turned, _ = positions.on_heads(q, q, c["heads"])
    assert within(rearrange(turned, "1 f (h e) -> 1 h f e", h=c["heads"]), tensors["out.q_rotated"], path)


TRANSFORMER_FILES = golden.claim("temporal_transformer_*")


@pytest.mark.parametrize("path", TRANSFORMER_FILES)
@torch.inference_mode()
def test_videocrafters_temporal_transformer(path: Path) -> None:
    """Plain, with relative tables (also shorter and longer clips than the table), causal, and the first layer's kind."""
    tensors, header = golden.read(path)
    c = golden.config(header)
    inner = c["n_heads"] * c["d_head"]

    def attention() -> FrameAttention:
        relative = RelativeTable(c["temporal_length"], c["d_head"]) if "relpos" in path.stem else NoPositions()
        return FrameAttention(inner, c["n_heads"], c["d_head"], Causal() if c.get("causal") else relative, nn)

    block = TemporalBlock(inner, [attention(), attention()], nn)
    layer = TemporalTransformer(c["channels"], [block], inner, "clip", Residual(), nn)
    rows = TRANSFORMER if tensors["w.proj_in.weight"].ndim == 2 else TRANSFORMER_AS_CONV
    layer.load_state_dict(KeyTable(rows).rename(weights_of(tensors))[0])
    pairs = [(x, y) for x, y in (("x", "y"), ("x_short", "y_short"), ("x_long", "y_long")) if x in tensors]
    assert pairs
    for x, y in pairs:
        error = error_of(layer(frames_first(tensors[x]), clip_of(tensors[x].shape[2])), tensors[y])
        assert parity.within(CRAFTER, path.stem, "core", error, 1e-4)


@pytest.mark.parametrize("path", golden.claim("temporal_conv_block*"))
@torch.inference_mode()
def test_videocrafters_temporal_convolution(path: Path) -> None:
    tensors, header = golden.read(path)
    layer = TemporalConv(golden.config(header)["channels"], 4, Residual(), nn)
    layer.load_state_dict(KeyTable(CONV).rename(weights_of(tensors))[0])
    error = error_of(layer(frames_first(tensors["x"]), clip_of(tensors["x"].shape[2])), tensors["y"])
    assert parity.within(CRAFTER, path.stem, "core", error, 1e-4)


@pytest.mark.parametrize("path", golden.claim("resblock_temporal_conv*"))
@torch.inference_mode()
def test_it_follows_the_residual_sum(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    layer = TemporalConv(c["out_channels"], 4, Residual(), nn)
    inside = {k.removeprefix("temopral_conv."): v for k, v in weights_of(tensors).items() if k.startswith("temopral_conv.")}
    layer.load_state_dict(KeyTable(CONV).rename(inside)[0])
    out = layer(tensors["y_no_temporal_conv"], clip_of(c["frames"]))
    assert parity.within(CRAFTER, path.stem, "core", (out - tensors["y"]).abs().max().item(), 1e-4)


@pytest.mark.parametrize("path", golden.claim("time_fps_embedding*"))
@torch.inference_mode()
def test_frame_rate_is_added_to_the_time_embedding(path: Path) -> None:
    tensors, header = golden.read(path)
    width = golden.config(header)["model_channels"]
    layer = FrameRate(width, tensors["emb"].shape[1], nn)
    named = {"proj_in": "fps_embedding.0", "proj_out": "fps_embedding.2"}
    layer.load_state_dict({f"{o}.{p}": tensors[f"w.{t}.{p}"] for o, t in named.items() for p in ("weight", "bias")})
    assert (sinusoid(tensors["timesteps"], width) - tensors["sin_t"]).abs().max() < 1e-4
    first, second = (nn.functional.linear, nn.functional.silu)
    hidden = second(first(tensors["sin_t"], tensors["w.time_embed.0.weight"], tensors["w.time_embed.0.bias"]))
    time = first(hidden, tensors["w.time_embed.2.weight"], tensors["w.time_embed.2.bias"])
    for row, fps in enumerate(tensors["fps"].tolist()):
        out = layer(time[row : row + 1], replace(clip_of(1), fps=fps))
        assert parity.within(CRAFTER, path.stem, "core", (out - tensors["emb"][row]).abs().max().item(), 1e-4)


@pytest.mark.parametrize("path", golden.claim("svd_resblock_*"))
@torch.inference_mode()
def test_svds_residual_block_over_time(path: Path) -> None:
    """Its alpha multiplies the spatial side. Where `learned_with_images` marks a frame as a picture, alpha is 1: strength 0."""
    tensors, header = golden.read(path)
    c = golden.config(header)
    gate = "raw" if c["merge_strategy"] == "fixed" else "sigmoid"
    layer = TimeStackConv(c["out_channels"], c["emb_channels"], Alpha("spatial", gate, 0.0), nn)
    layer.load_state_dict(KeyTable(svd.LDM_CONV).rename(only_temporal(tensors))[0])
    clip = replace(clip_of(c["T"]), embedding=tensors["in.emb"])
    assert within(layer(tensors["out.spatial_only"], clip), tensors["out.video"], path)
    if "out.with_images" in tensors:
        for index, clip_rows in enumerate(rearrange(torch.arange(c["B"] * c["T"]), "(b f) -> b f", f=c["T"])):
            moving = 1 - tensors["in.image_only_indicator_with_images"][index].float()
            told = replace(clip, strength=rearrange(moving, "f -> f 1 1"), embedding=tensors["in.emb"][clip_rows])
            out = layer(tensors["out.spatial_only"][clip_rows], told)
            assert within(out, tensors["out.with_images"][clip_rows], path)


def only_temporal(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    marks = ("time_stack.", "time_mixer.", "time_pos_embed.")
    return {key: value for key, value in weights_of(tensors).items() if key.startswith(marks)}


@pytest.mark.parametrize("path", golden.claim("svd_transformer_*"))
@torch.inference_mode()
def test_svds_transformer_over_time(path: Path) -> None:
    """Between the image model's own block and its way out; diffusers' transformer runs those."""
    from diffusers.models.transformers.transformer_2d import Transformer2DModel

    tensors, header = golden.read(path)
    c = golden.config(header)
    spatial = Transformer2DModel(
        c["n_heads"],
        c["d_head"],
        c["in_channels"],
        num_layers=1,
        cross_attention_dim=c["context_dim"],
        use_linear_projection=True,
    )
    temporal = only_temporal(tensors)
    spatial.load_state_dict({key: value for key, value in weights_of(tensors).items() if key not in temporal})
    gate = "raw" if c["merge_strategy"] == "fixed" else "sigmoid"
    layer = TimeStackBlock(c["in_channels"], c["n_heads"], c["context_dim"], Alpha("spatial", gate, 0.0), nn)
    layer.load_state_dict(KeyTable(svd.LDM_BLOCK).rename(temporal)[0])
    size = tuple(tensors["in.x"].shape[-2:])
    told = replace(clip_of(c["T"], context=tensors["in.context"]), size=size)
    block = spatial.get_submodule("transformer_blocks.0")
    outputs = {"out.video": [(told, slice(None))]}
    if "out.with_images" in tensors:
        outputs["out.with_images"] = []
        for index in range(c["B"]):
            rows = slice(index * c["T"], (index + 1) * c["T"])
            moving = rearrange(1 - tensors["in.image_only_indicator_with_images"][index].float(), "f -> f 1 1")
            outputs["out.with_images"].append((replace(told, strength=moving, context=tensors["in.context"][rows]), rows))
    for name, calls in outputs.items():
        for clip, rows in calls:
            handle = block.register_forward_hook(lambda module, args, out, clip=clip: layer(out, clip))
            out = spatial(tensors["in.x"][rows], encoder_hidden_states=tensors["in.context"][rows]).sample
            handle.remove()
            assert within(out, tensors[name][rows], path), name


@pytest.mark.parametrize("path", golden.claim("modelscope_temporal_*"))
@torch.inference_mode()
def test_modelscopes_layers(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    if "conv" in path.stem:
        layer: TemporalLayer = TemporalConv(c["dim"], 4, Residual(), nn)
        rows = CONV
    else:
        heads, head = c["num_attention_heads"], c["attention_head_dim"]
        pair = [FrameAttention(heads * head, heads, head, NoPositions(), nn) for _ in range(2)]
        block = TemporalBlock(heads * head, [*pair], nn)
        layer = TemporalTransformer(c["in_channels"], [block], heads * head, "clip", Residual(), nn)
        rows = TRANSFORMER
    layer.load_state_dict(KeyTable(rows).rename(weights_of(tensors))[0])
    assert within(layer(tensors["in.x"], clip_of(c["T"])), tensors["out.out"], path)
