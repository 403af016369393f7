"""The convolution of Align Your Latents, and the core's other building blocks, against other people's code."""

from pathlib import Path

import golden
import pytest
import torch
from layers import clip_of, error_of, frames_first
from torch import nn
from zoetrope.models.blend import Alpha, Residual
from zoetrope.models.positions import NoPositions, RelativeTable, RotaryT5, t5_buckets
from zoetrope.models.temporal import FrameAttention, TemporalBlock, TemporalConv, TemporalTransformer


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


# The encodings below are parts of the core that no family uses yet; their golden files belong to the family issue, which will
# load them through families. Here they prove the parts.


@pytest.mark.parametrize("path", golden.borrow("lavie_temporal_attention*"))
@torch.inference_mode()
def test_rotary_and_t5_bias(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)
    positions = RotaryT5(c["rotary_dim"], c["heads"], c["rel_pos_buckets"], c["rel_pos_max_distance"])
    layer = FrameAttention(c["query_dim"], c["heads"], c["dim_head"], positions, nn)
    names = {"to_out.weight": "to_out.0.weight", "to_out.bias": "to_out.0.bias"}
    names["positions.relative.weight"] = "time_rel_pos_bias.relative_attention_bias.weight"
    layer.load_state_dict({key: tensors[f"w.{names.get(key, key)}"] for key in layer.state_dict()})
    out = layer(tensors["in.x"], clip_of(c["T"]))
    assert (out - tensors["out.out"]).abs().max() <= 2e-4 * tensors["out.out"].abs().max()
    reach = tensors["out.buckets"].shape[0] // 2
    buckets = t5_buckets(torch.arange(-reach, reach + 1), c["rel_pos_buckets"], c["rel_pos_max_distance"])
    assert torch.equal(buckets, tensors["out.buckets"])


@pytest.mark.parametrize("path", golden.borrow("temporal_transformer_plain*", "temporal_transformer_relpos*"))
@torch.inference_mode()
def test_clip_norm_transformer_without_and_with_a_relative_table(path: Path) -> None:
    tensors, header = golden.read(path)
    c = golden.config(header)

    def attention() -> FrameAttention:
        positions = RelativeTable(c["temporal_length"], c["d_head"]) if "relpos" in path.stem else NoPositions()
        return FrameAttention(c["channels"], c["n_heads"], c["d_head"], positions, nn)

    block = TemporalBlock(c["channels"], [attention(), attention()], nn)
    layer = TemporalTransformer(c["channels"], [block], c["channels"], "clip", Residual(), nn)
    layer.load_state_dict({_ours(key[2:]): value for key, value in tensors.items() if key.startswith("w.")})
    for x, y in (("x", "y"), ("x_short", "y_short"), ("x_long", "y_long")):
        if x in tensors:
            assert error_of(layer(frames_first(tensors[x]), clip_of(tensors[x].shape[2])), tensors[y]) < 1e-4


OURS = {
    "transformer_blocks": "blocks",
    "ff.net.0.proj": "ff.proj_in",
    "ff.net.2": "ff.proj_out",
    "to_out.0": "to_out",
    "relative_position_k.embeddings_table": "positions.keys",
    "relative_position_v.embeddings_table": "positions.values",
    "attn1": "attentions.0",
    "attn2": "attentions.1",
    "norm1": "norms.0",
    "norm2": "norms.1",
    "norm3": "ff_norm",
}


def _ours(key: str) -> str:
    for theirs, ours in OURS.items():
        key = key.replace(theirs, ours)
    return key
