"""AnimateDiff and its relatives: one temporal transformer at the end of each UNet block (arXiv 2307.04725).

Sources: guoyww/AnimateDiff main e92bd56 for the maths and the published key names, branch sdxl 8d19107; G-U-N/AnimateLCM
f873122; open-mmlab/PIA 73f06d7; diffusers 0.42.1 for the spelling of its adapters. Golden files come from the authors' code.

member           position table   levels   mid module   image UNet's norms   also
v1               24               4        no           clip
v2, Lightning    32               4        yes          frame
v3               32               4        no           frame
PIA              32               4        no           clip                 conv_in for a picture and a mask
AnimateLCM       none: 64 built   4        yes          frame                (a table of 32 in diffusers' spelling)
AnimateLCM-I2V   none: 64 built   4        yes          frame                img_encoder
SDXL beta        32               3        no           frame                motion norms over the whole clip
"""

from dataclasses import dataclass
from typing import Any

from ....backbones.places import RESIDUAL_AND_LAST, NormKind
from ....backbones.unet import SD1, SDXL, Site
from ....formats.facts import largest
from ....formats.keytable import KeyTable, Row, prefixed, product, weights
from ....formats.ldm import diffusers_spatial, four_channels
from ....formats.published import Shapes, Spelling
from ....formats.shared_rows import FEED_FORWARD, TRANSFORMER
from ....layers.blend import Residual
from ....layers.positions import FormulaSinusoid, NoPositions, SharedPositions, Sinusoid
from ....layers.temporal import FrameAttention, Scope, TemporalBlock, TemporalLayer, TemporalTransformer
from ...family import Contents, Family, NoiseSchedule, Variant
from ...frame_guide import ANIMATELCM, PIA, GuideDesign

HEADS = 8
BUILT_FRAMES = 64
"""Length of AnimateLCM's position table, which is not in its files (the authors' code builds it)."""

SCHEDULE = NoiseSchedule(curve="beta", start=0.00085, end=0.012, steps=1000)
SDXL_SCHEDULE = NoiseSchedule(curve="root", start=0.00085, end=0.020, steps=1000)
I2V_SCHEDULE = NoiseSchedule(curve="beta", start=0.00085, end=0.014, steps=1000)
"""Source: inference-i2v.yaml of G-U-N/AnimateLCM."""

SITES = (
    Row("down_blocks.{}.motion_modules.{}.", "down.{}.{}.out."),
    Row("mid_block.motion_modules.0.", "mid.attention."),
    Row("up_blocks.{}.motion_modules.{}.", "up.{}.{}.out."),
)


def layer_rows(positions: str) -> tuple[Row, ...]:
    """Rows of one temporal transformer in the authors' spelling. positions: their name of the position table."""
    attention = (
        *(Row(f"to_{q}.weight", f"to_{q}.weight") for q in "qkv"),
        *weights(("to_out.0", "to_out")),
        Row(f"pos_encoder.{positions}", "positions.pe"),
    )
    return (
        *weights(("norm", "norm"), ("proj_in", "proj_in"), ("proj_out", "proj_out")),
        *weights(("transformer_blocks.{}.norms.{}", "blocks.{}.norms.{}")),
        *weights(("transformer_blocks.{}.ff_norm", "blocks.{}.ff_norm")),
        *prefixed(FEED_FORWARD, "transformer_blocks.{}.ff.", "blocks.{}.ff."),
        *prefixed(attention, "transformer_blocks.{}.attention_blocks.{}.", "blocks.{}.attentions.{}."),
    )


ADAPTER_LAYER = (*TRANSFORMER, Row("transformer_blocks.{}.pos_embed.pe", "blocks.{}.attentions.0.positions.pe"))
"""Rows of one temporal transformer in diffusers' spelling, with one position table for both attentions."""

CONV_IN = weights(("conv_in", "image:conv_in"))
"""Rows of PIA's first convolution, whose input includes a picture and a mask; in files with the whole UNet it is split."""
ENCODER = Row("img_encoder.{*}", "image:img_encoder.{*}")
"""Row of AnimateLCM-I2V's picture encoder."""

SPARSECTRL = (
    "controlnet_cond_embedding.conv_in.weight",
    "controlnet_cond_embedding.weight",
    "controlnet_down_blocks.{}.weight",
)


def published(keys: Shapes, prefix: str) -> KeyTable:
    """Key table of files in the authors' spelling."""
    places = tuple(Row(f"{prefix}{row.published}temporal_transformer.", row.ours) for row in SITES)
    return KeyTable((*product(places, layer_rows("pe")), *besides(keys, prefix)))


def adapter(keys: Shapes, prefix: str) -> KeyTable:
    """Key table of diffusers' MotionAdapter, or of a whole UNetMotionModel."""
    return KeyTable((*product(prefixed(SITES, prefix), ADAPTER_LAYER), *besides(keys, prefix)))


def besides(keys: Shapes, prefix: str) -> tuple[Row, ...]:
    """Rows of picture inputs, and of the image UNet in files that hold it."""
    has_unet = any(".resnets." in key for key in keys)
    first = four_channels(diffusers_spatial(keys), keys, prefix) if has_unet else CONV_IN
    return prefixed((ENCODER, *first), prefix)


@dataclass(frozen=True)
class Member:
    """Settings of one published model that its shapes do not contain; fields as in `Variant`."""

    frames: int
    max_frames: int
    clip_norms: tuple[NormKind, ...]
    note: str
    schedule: NoiseSchedule = SCHEDULE
    guide: GuideDesign | None = None


MEMBERS = {
    "v1": Member(16, 24, RESIDUAL_AND_LAST, ""),
    "v2": Member(16, 32, (), ""),
    "v3": Member(16, 32, (), ""),
    "PIA": Member(16, 32, RESIDUAL_AND_LAST, "First/Last Frame Guide gives it a picture", guide=PIA),
    "AnimateLCM": Member(16, BUILT_FRAMES, (), "for few steps: its LCM LoRA, sampler lcm, 4 to 8 steps, cfg 1 to 2"),
    "AnimateLCM-I2V": Member(
        16, BUILT_FRAMES, (), "as AnimateLCM; First/Last Frame Guide gives it a picture", I2V_SCHEDULE, ANIMATELCM
    ),
    "SDXL beta": Member(16, 32, (), "", SDXL_SCHEDULE),
}


def variant(contents: Contents) -> Variant:
    name = _member(contents)
    member = MEMBERS[name]
    tables = [shape[1] for key, shape in contents.weights.items() if key.endswith(".positions.pe")]
    return Variant(
        name=name,
        frames=member.frames,
        max_frames=min(tables, default=member.max_frames),
        schedule=member.schedule,
        clip_norms=member.clip_norms,
        notes=(member.note,) if member.note else (),
        guide=member.guide,
        bases=(SDXL.name,) if name == "SDXL beta" else (SD1.name,),
    )


def _member(contents: Contents) -> str:
    image = contents.parts.get("image", {})
    tables = [shape[1] for key, shape in contents.weights.items() if key.endswith(".positions.pe")]
    middle = any(key.startswith("mid.") for key in contents.weights)
    if _levels(contents.weights) == 3:
        return "SDXL beta"
    if any(key.startswith("img_encoder.") for key in image):
        return "AnimateLCM-I2V"
    if not tables:
        return "AnimateLCM"
    if image.get("conv_in.weight", (0, 0))[1] > 4:
        return "PIA"
    return "v2" if middle else "v1" if min(tables) <= 24 else "v3"


def _levels(shapes: Shapes) -> int:
    down = {int(key.split(".")[1]) for key in shapes if key.startswith("down.")}
    return len(down) if down == set(range(len(down))) else 4


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    """Empty layers for the shapes in a file: one temporal transformer per site."""
    scope: Scope = "clip" if _levels(contents.weights) == 3 else "frame"
    return transformers(contents.weights, scope, ops)


def transformers(shapes: Shapes, scope: Scope, ops: Any) -> dict[Site, TemporalLayer]:
    """Empty temporal transformers by site. scope: range of their GroupNorms' statistics."""
    sites = [key.removesuffix(".norm.weight") for key in shapes if key.endswith(".norm.weight")]
    return {site: transformer(site, shapes, scope, ops) for site in sites}


def transformer(site: Site, shapes: Shapes, scope: Scope, ops: Any) -> TemporalTransformer:
    """The empty temporal transformer at one site. scope: range of its GroupNorm's statistics."""
    channels = shapes[f"{site}.norm.weight"][0]
    place = f"{site}.blocks.0.attentions."
    numbers = (int(key.removeprefix(place).split(".")[0]) for key in shapes if key.startswith(place))
    count = 1 + largest(numbers, f"attentions of {site}")
    positions: list[NoPositions] = []
    for index in range(count):
        table = shapes.get(f"{place}{index}.positions.pe")
        if table:
            positions.append(Sinusoid(table[1], channels))
        else:
            positions.append(SharedPositions(positions[0]) if positions else FormulaSinusoid(BUILT_FRAMES, channels))
    attentions = [FrameAttention(channels, HEADS, channels // HEADS, each, ops) for each in positions]
    return TemporalTransformer(channels, [TemporalBlock(channels, [*attentions], ops)], channels, scope, Residual(), ops)


ANIMATEDIFF = Family(
    name="animatediff",
    title="AnimateDiff",
    spellings=(
        Spelling("published", ("down_blocks.{}.motion_modules.{}.temporal_transformer.proj_in.weight",), SPARSECTRL, published),
        Spelling(
            "diffusers", ("down_blocks.{}.motion_modules.{}.transformer_blocks.{}.attn1.to_q.weight",), SPARSECTRL, adapter
        ),
    ),
    variant=variant,
    build=build,
)
