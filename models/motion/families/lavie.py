"""LaVie (base and interpolation) and SEINE: temporal attention inside Stable Diffusion 1.x's transformer blocks.

LaVie (arXiv 2309.15103), SEINE (2310.20700); Vchitect/LaVie 6ce851e, Vchitect/SEINE bd8d519. In LaVie base and SEINE attention
over frames is before the feed-forward, with rotary positions on 32 channels of each head and a T5-style bias. In the
interpolation model it is after the feed-forward, without positions, and self-attention is sparse-causal. Hidden states of the
published networks have five axes, so the image UNet's residual and last norms span the clip. Files hold the whole UNet in
diffusers' spelling; it was trained too, so it differs from SD 1.4.
"""

from typing import Any

from ...backbones.places import RESIDUAL_AND_LAST
from ...backbones.unet import SD1, Site
from ...formats.facts import header_number, shared
from ...formats.keytable import KeyTable, Row, prefixed, product, weights
from ...formats.ldm import diffusers_spatial, four_channels
from ...formats.published import Shapes, Spelling
from ...formats.shared_rows import ATTENTION
from ...layers.positions import NoPositions, RotaryT5
from ...layers.temporal import FrameAttention, TemporalLayer
from ...layers.tokens import InBlockAttention
from ..family import Contents, Family, NoiseSchedule, Variant
from ..frame_guide import LAVIE_INTERPOLATION, SEINE

SCHEDULE = NoiseSchedule(curve="beta", start=1e-4, end=2e-2, steps=1000)
ROTARY_DIMS = 32
FURTHEST = 32
HEADS = 8

BLOCKS = (
    Row("down_blocks.{}.attentions.{}.transformer_blocks.0.", "down.{}.{}."),
    Row("mid_block.attentions.0.transformer_blocks.0.", "mid."),
    Row("up_blocks.{}.attentions.{}.transformer_blocks.0.", "up.{}.{}."),
)


def _layer(kind: str) -> tuple[Row, ...]:
    """Rows of the temporal attention in one block, at a site of this kind."""
    bias = Row("attn_temp.time_rel_pos_bias.relative_attention_bias.weight", f"{kind}.attention.positions.relative.weight")
    return (
        *weights(("norm_temp", f"{kind}.norm")),
        *prefixed(ATTENTION, "attn_temp.", f"{kind}.attention."),
        bias,
    )


def _frequencies() -> tuple[Row, ...]:
    """Rows of the rotary frequencies that some versions store with each layer; unused, because they are computed."""
    return tuple(Row(f"{row.published}attn_temp.rotary_emb.freqs", f"buffer:{row.ours}rotary.freqs") for row in BLOCKS)


def _table(kind: str, keys: Shapes, prefix: str) -> KeyTable:
    spatial = four_channels(diffusers_spatial(keys), keys, prefix)
    return KeyTable(prefixed((*product(BLOCKS, _layer(kind)), *_frequencies(), *spatial), prefix))


def base(keys: Shapes, prefix: str) -> KeyTable:
    return _table("before_ff", keys, prefix)


def interpolation(keys: Shapes, prefix: str) -> KeyTable:
    return _table("block", keys, prefix)


def variant(contents: Contents) -> Variant:
    extra = contents.parts.get("image", {}).get("conv_in.weight", (0, 0))[1]
    between = any(".block." in key for key in contents.weights)
    name = "LaVie interpolation" if between else "SEINE" if extra else "LaVie base"
    notes = {
        "LaVie interpolation": "use it with Interpolate Frames, which gives it the frames to interpolate between",
        "SEINE": "First/Last Frame Guide gives it pictures; without one it uses the prompt alone",
        "LaVie base": "its image UNet was trained too: on another SD1.x checkpoint the look is between the two",
    }
    return Variant(
        name=name,
        frames=61 if between else 16,
        max_frames=None,
        schedule=SCHEDULE,
        clip_norms=RESIDUAL_AND_LAST,
        notes=(notes[name],),
        prediction="eps",
        guide=LAVIE_INTERPOLATION if between else SEINE if extra else None,
        sparse_causal=between,
        bases=(SD1.name,),
    )


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    shapes = contents.weights
    layers: dict[Site, TemporalLayer] = {}
    for key, shape in shapes.items():
        if not key.endswith(".norm.weight"):
            continue
        site, width = key.removesuffix(".norm.weight"), shape[0]
        bias = shapes.get(f"{site}.attention.positions.relative.weight")
        heads = bias[1] if bias else header_number(contents.metadata, "zoetrope.heads", HEADS)
        positions = RotaryT5(ROTARY_DIMS, heads, bias[0], FURTHEST) if bias else NoPositions()
        layers[site] = InBlockAttention(FrameAttention(width, heads, shared(width, heads), positions, ops), width, ops)
    return layers


BIAS = "down_blocks.{}.attentions.{}.transformer_blocks.{}.attn_temp.time_rel_pos_bias.relative_attention_bias.weight"
TEMPORAL = "down_blocks.{}.attentions.{}.transformer_blocks.{}.attn_temp.to_q.weight"

LAVIE = Family(
    name="lavie",
    title="LaVie and SEINE",
    spellings=(
        Spelling("base", (TEMPORAL, BIAS), (), base),
        Spelling("interpolation", (TEMPORAL,), (BIAS,), interpolation),
    ),
    variant=variant,
    build=build,
)
