"""AnimateDiff v1, v2, v3 and SDXL beta: one temporal transformer at the end of each UNet block (arXiv 2307.04725).

Sources: guoyww/AnimateDiff main e92bd56 for the maths and the published key names; golden files by the same code.
The members differ in the length of their position table (24 in v1, else 32), in the mid block's module (v2 only) and in their
levels (three in SDXL beta, branch sdxl 8d19107). Motion norms are per frame in v1 to v3 and over the whole clip in SDXL beta.
v1 was trained with the image UNet's residual and final norms over the whole clip.
"""

from typing import Any

from ..blend import Residual
from ..family import Family, KeyTable, Metadata, NoiseSchedule, Row, Shapes, Variant
from ..positions import Sinusoid
from ..sites import Site
from ..temporal import FrameAttention, Scope, TemporalBlock, TemporalLayer, TemporalTransformer

HEADS = 8
SCHEDULE = NoiseSchedule(curve="beta", start=0.00085, end=0.012, steps=1000)
SDXL_SCHEDULE = NoiseSchedule(curve="root", start=0.00085, end=0.020, steps=1000)

PLACES = (
    Row("down_blocks.{}.motion_modules.{}.temporal_transformer.", "down.{}.{}.out."),
    Row("mid_block.motion_modules.0.temporal_transformer.", "mid.attention."),
    Row("up_blocks.{}.motion_modules.{}.temporal_transformer.", "up.{}.{}.out."),
)
PARAMETERS = (
    *(Row(f"norm.{p}", f"norm.{p}") for p in ("weight", "bias")),
    *(Row(f"proj_in.{p}", f"proj_in.{p}") for p in ("weight", "bias")),
    *(Row(f"proj_out.{p}", f"proj_out.{p}") for p in ("weight", "bias")),
    *(Row(f"transformer_blocks.{{}}.norms.{{}}.{p}", f"blocks.{{}}.norms.{{}}.{p}") for p in ("weight", "bias")),
    *(
        Row(f"transformer_blocks.{{}}.attention_blocks.{{}}.{theirs}", f"blocks.{{}}.attentions.{{}}.{ours}")
        for theirs, ours in (
            ("pos_encoder.pe", "positions.pe"),
            ("to_q.weight", "to_q.weight"),
            ("to_k.weight", "to_k.weight"),
            ("to_v.weight", "to_v.weight"),
            ("to_out.0.weight", "to_out.weight"),
            ("to_out.0.bias", "to_out.bias"),
        )
    ),
    *(Row(f"transformer_blocks.{{}}.ff_norm.{p}", f"blocks.{{}}.ff_norm.{p}") for p in ("weight", "bias")),
    *(Row(f"transformer_blocks.{{}}.ff.net.0.proj.{p}", f"blocks.{{}}.ff.proj_in.{p}") for p in ("weight", "bias")),
    *(Row(f"transformer_blocks.{{}}.ff.net.2.{p}", f"blocks.{{}}.ff.proj_out.{p}") for p in ("weight", "bias")),
)


def variant(shapes: Shapes, metadata: Metadata) -> Variant:
    """Three levels are SDXL's; v2 has a mid module; else the table's length tells v1 (24) from v3 (32)."""
    table = min(shape[1] for key, shape in shapes.items() if key.endswith(".positions.pe"))
    name = "v2" if any(key.startswith("mid.") for key in shapes) else "v1" if table <= 24 else "v3"
    name = "SDXL beta" if _is_sdxl(shapes) else name
    notes = ("v1's norms over the whole clip are not applied yet: expect a look between v1 and v3",) if name == "v1" else ()
    return Variant(
        name=name,
        frames=16,
        max_frames=table,
        schedule=SDXL_SCHEDULE if _is_sdxl(shapes) else SCHEDULE,
        spatial_norms="clip" if name == "v1" else "frame",
        notes=notes,
    )


def build(shapes: Shapes, metadata: Metadata, ops: Any) -> dict[Site, TemporalLayer]:
    """One transformer per site; its width, its attentions and its table length are those of the file."""
    sites = [key.removesuffix(".norm.weight") for key in shapes if key.endswith(".norm.weight")]
    scope: Scope = "clip" if _is_sdxl(shapes) else "frame"
    return {site: transformer(site, shapes, scope, ops) for site in sites}


def _is_sdxl(shapes: Shapes) -> bool:
    return {key.split(".")[1] for key in shapes if key.startswith("down.")} == {"0", "1", "2"}


def transformer(site: Site, shapes: Shapes, scope: Scope, ops: Any) -> TemporalTransformer:
    """The layer at one site; `scope` is what its GroupNorm averages over."""
    channels = shapes[f"{site}.norm.weight"][0]
    tables = [
        shape[1]
        for key, shape in shapes.items()
        if key.startswith(f"{site}.blocks.0.attentions.") and key.endswith(".positions.pe")
    ]
    attentions = [FrameAttention(channels, HEADS, channels // HEADS, Sinusoid(frames, channels), ops) for frames in tables]
    block = TemporalBlock(channels, list(attentions), ops)
    return TemporalTransformer(channels, [block], channels, scope, Residual(), ops)


ANIMATEDIFF = Family(
    name="animatediff",
    title="AnimateDiff",
    marks=(
        "down_blocks.{}.motion_modules.{}.temporal_transformer.proj_in.weight",
        "down_blocks.{}.motion_modules.{}.temporal_transformer.transformer_blocks.{}.attention_blocks.{}.pos_encoder.pe",
    ),
    strangers=("conv_in.weight", "input_hint_block.{}.weight", "controlnet_cond_embedding.conv_in.weight"),
    key_table=KeyTable(PLACES, PARAMETERS),
    variant=variant,
    build=build,
)
