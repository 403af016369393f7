"""Upscale-A-Video and LaVie's VSR: temporal layers in Stable Diffusion's x4 upscaler. One network in two spellings.

Upscale-A-Video (arXiv 2312.06640), sczhou/Upscale-A-Video 10ca1d7; LaVie (2309.15103), Vchitect/LaVie 6ce851e. Residual blocks
over frames before each spatial transformer, attention over frames before each feed-forward as in LaVie's base model, and a
module after each level. Files hold the whole UNet in diffusers' spelling; its norms span the clip.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ...backbones.places import RESIDUAL_AND_LAST
from ...backbones.unet import X4, Site
from ...formats.facts import axes, shared
from ...formats.keytable import KeyTable, Row, prefixed, product, weights
from ...formats.ldm import diffusers_spatial
from ...formats.published import Shapes, Spelling
from ...formats.shared_rows import ATTENTION
from ...layers.positions import RotaryT5
from ...layers.temporal import FrameAttention, TemporalLayer
from ...layers.tokens import InBlockAttention
from ...layers.upscaler import ClipResidual, LevelEnd
from ..family import Contents, Family, NoiseSchedule, Variant
from .lavie import FURTHEST, ROTARY_DIMS

FRAMES = 8

CONVS = weights(("norm1", "norms.0"), ("conv1", "convs.0"), ("norm2", "norms.1"), ("conv2", "convs.1"))
TIMED = (*CONVS, *weights(("time_emb_proj", "from_time")))
TRANSFORMERS = (
    Row("down_blocks.{}.attentions.{}.", "down.{}.{}."),
    Row("up_blocks.{}.attentions.{}.", "up.{}.{}."),
)
IN_BLOCK = (
    *weights(("norm_temporal", "before_ff.norm")),
    *prefixed(ATTENTION, "attn_temporal.", "before_ff.attention."),
    Row("attn_temporal.time_rel_pos_bias.relative_attention_bias.weight", "before_ff.attention.positions.relative.weight"),
)


@dataclass(frozen=True)
class Names:
    """Names of the modules after the levels in one code base."""

    level: str
    """`down_{level}s.0.`, `mid_{level}.`, `up_{level}s.0.`"""
    frames: str
    picture: str


def _table(names: Names) -> Callable[[Shapes, str], KeyTable]:
    blocks = product((*TRANSFORMERS, Row("mid_block.attentions.0.", "mid.")), prefixed(IN_BLOCK, "transformer_blocks.0."))
    before = (*TRANSFORMERS, Row("mid_block.attentions.0.", "mid.0."))
    residuals = product(before, prefixed(CONVS, "resblock_temporal.", "resnet.block."))
    ends = (
        Row(f"down_{names.level}s.{{}}.", "down.{}.end."),
        Row(f"mid_{names.level}.", "mid.end."),
        Row(f"up_{names.level}s.{{}}.", "up.{}.end."),
    )
    inside = (
        *prefixed(TIMED, f"{names.frames}.", "frames."),
        *prefixed(TIMED, f"{names.picture}.", "picture."),
        *weights(("shift_conv", "out")),
    )
    frequencies = tuple(
        Row(f"{row.published}transformer_blocks.0.attn_temporal.rotary_emb.freqs", f"buffer:{row.ours}rotary.freqs")
        for row in before
    )
    shared = Row("temporal_rotary_emb.freqs", "buffer:rotary.freqs")
    ours = (*blocks, *residuals, *product(ends, inside), *frequencies, shared)

    def table(keys: Shapes, prefix: str) -> KeyTable:
        return KeyTable(prefixed((*ours, *diffusers_spatial(keys)), prefix))

    return table


def _variant(name: str, curve: str) -> Callable[[Contents], Variant]:
    """A `Family.variant` with this name and noise schedule.

    curve   curve of the betas: Upscale-A-Video has that of the image upscaler (`root`), LaVie another
    """

    def variant(contents: Contents) -> Variant:
        return Variant(
            name=name,
            frames=FRAMES,
            max_frames=None,
            schedule=NoiseSchedule(curve=curve, start=1e-4, end=2e-2, steps=1000),
            clip_norms=RESIDUAL_AND_LAST,
            notes=("its image UNet was trained too: on another x4 upscaler the look is between the two",),
            prediction="v",
            bases=(X4.name,),
        )

    return variant


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    shapes = contents.weights
    layers: dict[Site, TemporalLayer] = {}
    for key, shape in shapes.items():
        if key.endswith(".before_ff.norm.weight"):
            site, width = key.removesuffix(".norm.weight"), shape[0]
            buckets, heads = axes(shapes[f"{site}.attention.positions.relative.weight"], 2)
            positions = RotaryT5(ROTARY_DIMS, heads, buckets, FURTHEST)
            layers[site] = InBlockAttention(FrameAttention(width, heads, shared(width, heads), positions, ops), width, ops)
        elif key.endswith(".resnet.block.norms.0.weight"):
            layers[key.removesuffix(".block.norms.0.weight")] = ClipResidual(shape[0], ops)
        elif key.endswith(".end.out.weight"):
            site = key.removesuffix(".out.weight")
            layers[site] = LevelEnd(shape[0], shapes[f"{site}.frames.from_time.weight"][1], ops)
    return layers


UPSCALE_A_VIDEO = Family(
    name="upscale_a_video",
    title="Upscale-A-Video",
    spellings=(
        Spelling(
            "published", ("down_temp_blocks.{}.shift_conv.weight",), (),
            _table(Names("temp_block", "resblocks_3d_temporal", "resblocks_3d_spatial")),
        ),
    ),
    variant=_variant("v1", "root"),
    build=build,
)  # fmt: skip

LAVIE_VSR = Family(
    name="lavie_vsr",
    title="LaVie VSR",
    spellings=(
        Spelling(
            "published", ("down_temporal_blocks.{}.shift_conv.weight",), (),
            _table(Names("temporal_block", "resblocks_3d_t", "resblocks_3d_s")),
        ),
    ),
    variant=_variant("v1", "beta"),
    build=build,
)  # fmt: skip
