"""Hotshot-XL: AnimateDiff's temporal transformers for SDXL, with other norms (hotshotco/Hotshot-XL cc01f7f).

Its motion norms are per frame; the image UNet's residual and last norms span the clip. Trained on clips of about 8 frames.
"""

from typing import Any

from ...backbones.places import RESIDUAL_AND_LAST
from ...backbones.unet import SDXL, Site
from ...formats.facts import smallest
from ...formats.keytable import KeyTable, Row, prefixed, product
from ...formats.published import Shapes, Spelling
from ...layers.temporal import TemporalLayer
from ..family import Contents, Family, Variant
from .animatediff.module import layer_rows, transformers

SITES = (
    Row("down_blocks.{}.temporal_attentions.{}.", "down.{}.{}.out."),
    Row("mid_block.temporal_attentions.0.", "mid.attention."),
    Row("up_blocks.{}.temporal_attentions.{}.", "up.{}.{}.out."),
)


def table(keys: Shapes, prefix: str) -> KeyTable:
    return KeyTable(product(prefixed(SITES, prefix), layer_rows("positional_encoding")))


def variant(contents: Contents) -> Variant:
    length = smallest((shape[1] for key, shape in contents.weights.items() if key.endswith(".positions.pe")), "position tables")
    return Variant(
        name="v1",
        frames=8,
        max_frames=length,
        schedule=None,
        clip_norms=RESIDUAL_AND_LAST,
        notes=(),
        bases=(SDXL.name,),
    )


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    return transformers(contents.weights, "frame", ops)


HOTSHOT = Family(
    name="hotshotxl",
    title="Hotshot-XL",
    spellings=(Spelling("published", ("down_blocks.{}.temporal_attentions.{}.proj_in.weight",), (), table),),
    variant=variant,
    build=build,
)
