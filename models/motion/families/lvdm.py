"""LVDM's text-to-video model: Stable Diffusion 1.x with attention over frames inside its transformer blocks (arXiv 2211.13221).

YingqingHe/LVDM d251dcc. Order in a block: self-attention, attention over frames, text attention, attention over frames,
feed-forward; positions are relative tables. Kernels are stored with a time axis of size one, and hidden states of the published
network have five axes, so all norms of the image UNet, including those of its transformers, span the clip. LVDM's unconditional
models are another network, which no node runs.
"""

from typing import Any

from ...backbones.unet import SD1, Site
from ...formats.facts import axes, shared, smallest
from ...formats.keytable import Drop, KeyTable, Row, prefixed, product, weights
from ...formats.ldm import ldm_layout, ldm_spatial
from ...formats.published import Shapes, Spelling
from ...formats.shared_rows import ATTENTION, SCHEDULE_BUFFERS
from ...layers.positions import RelativeTable
from ...layers.temporal import FrameAttention, TemporalLayer
from ...layers.tokens import InBlockAttention
from ..family import Contents, Family, NoiseSchedule, Variant

SCHEDULE = NoiseSchedule(curve="root", start=0.00085, end=0.012, steps=1000)

LAYERS = (
    *weights(("norm4", "before_text.norm"), ("norm5", "before_ff.norm")),
    *prefixed(ATTENTION, "attn1_tmp.", "before_text.attention."),
    *prefixed(ATTENTION, "attn2_tmp.", "before_ff.attention."),
)
"""Rows of the two temporal attentions in one block."""

BESIDE = (Row("first_stage_model.{*}", "vae:{*}"), Row("cond_stage_model.{*}", "text:{*}"))
"""Rows of Stable Diffusion 1.x's VAE and text encoder, which some files hold."""

INFLATED = ("in_layers.2.weight", "out_layers.3.weight", "skip_connection.weight", "op.weight", "conv.weight",
            "proj_in.weight", "proj_out.weight", "blocks.0.0.weight", "out.2.weight")  # fmt: skip


def table(keys: Shapes, prefix: str) -> KeyTable:
    layout = ldm_layout(keys, prefix)
    blocks = [Row(f"{name}.{b.index}.1.transformer_blocks.0.", f"{b.site}.") for name, b in layout.named if b.transformer]
    blocks += [Row("middle_block.1.transformer_blocks.0.", "mid.")]
    rows = (*product(blocks, LAYERS), *map(_flat, ldm_spatial(layout)))
    return KeyTable((*prefixed(rows, prefix), *SCHEDULE_BUFFERS, *BESIDE))


def _flat(row: Row) -> Row:
    """The row of a convolution without its time axis."""
    return Row(row.published, row.ours, Drop(2)) if row.published.endswith(INFLATED) else row


def variant(contents: Contents) -> Variant:
    length = smallest((shape[0] // 2 for key, shape in contents.weights.items() if key.endswith(".positions.keys")), "tables")
    return Variant(
        name="text-to-video",
        frames=length,
        max_frames=None,
        schedule=SCHEDULE,
        clip_norms=("resnet", "transformer", "out"),
        notes=(),
        prediction="eps",
        bases=(SD1.name,),
    )


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    shapes = contents.weights
    sites = [key.removesuffix(".norm.weight") for key in shapes if key.endswith(".norm.weight")]
    return {site: _layer(site, shapes, ops) for site in sites}


def _layer(site: Site, shapes: Shapes, ops: Any) -> InBlockAttention:
    rows, head = axes(shapes[f"{site}.attention.positions.keys"], 2)
    width = shapes[f"{site}.norm.weight"][0]
    return InBlockAttention(FrameAttention(width, shared(width, head), head, RelativeTable(rows // 2, head), ops), width, ops)


LVDM = Family(
    name="lvdm",
    title="LVDM",
    spellings=(Spelling("published", ("input_blocks.{}.{}.transformer_blocks.{}.attn1_tmp.to_q.weight",), (), table),),
    variant=variant,
    build=build,
)
