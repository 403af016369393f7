"""ModelScope text-to-video and ZeroScope: Stable Diffusion 2.1's layout with temporal convolutions and transformers.

ModelScopeT2V (arXiv 2308.06571). Each residual block is followed by four temporal convolutions, each spatial transformer by a
temporal one of two self-attentions (norm over the clip, no positions), and a temporal transformer of 8 heads follows the first
convolution. Files hold the UNet alone, in ModelScope's spelling (LDM's numbers, `temopral_conv`) or in diffusers'.
"""

from typing import Any

from ...backbones.unet import SD2, Site
from ...formats.keytable import KeyTable, Row, prefixed, product
from ...formats.ldm import diffusers_spatial, ldm_layout, ldm_spatial
from ...formats.published import Shapes, Spelling
from ...formats.shared_rows import CONV, TRANSFORMER, TRANSFORMER_AS_CONV
from ...layers.blend import Residual
from ...layers.temporal import TemporalConv, TemporalLayer
from ..family import Contents, Family, NoiseSchedule, Variant
from .videocrafter import INIT_HEADS, STAGES, transformer

SCHEDULE = NoiseSchedule(curve="root", start=0.00085, end=0.012, steps=1000)


def original(keys: Shapes, prefix: str) -> KeyTable:
    layout = ldm_layout(keys, prefix)
    places = [Row("input_blocks.0.1.", "input."), Row("middle_block.2.", "mid.attention.")]
    places += [Row(f"{name}.{b.index}.2.", f"{b.site}.attention.") for name, b in layout.named if b.transformer]
    convolutions = [Row(f"{name}.{b.index}.0.temopral_conv.", f"{b.site}.resnet.") for name, b in layout.named]
    convolutions += [
        Row("middle_block.0.temopral_conv.", "mid.0.resnet."),
        Row("middle_block.3.temopral_conv.", "mid.1.resnet."),
    ]
    rows = (*product(places, TRANSFORMER_AS_CONV), *product(convolutions, CONV), *ldm_spatial(layout))
    return KeyTable(prefixed(rows, prefix))


def diffusers(keys: Shapes, prefix: str) -> KeyTable:
    places = (
        Row("transformer_in.", "input."),
        Row("mid_block.temp_attentions.0.", "mid.attention."),
        *(Row(f"{name}_blocks.{{}}.temp_attentions.{{}}.", f"{name}.{{}}.{{}}.attention.") for name in ("down", "up")),
    )
    convolutions = (
        Row("mid_block.temp_convs.{}.", "mid.{}.resnet."),
        *(Row(f"{name}_blocks.{{}}.temp_convs.{{}}.", f"{name}.{{}}.{{}}.resnet.") for name in ("down", "up")),
    )
    rows = (*product(places, TRANSFORMER), *product(convolutions, CONV), *diffusers_spatial(keys))
    return KeyTable(prefixed(rows, prefix))


def variant(contents: Contents) -> Variant:
    return Variant(
        name="T2V",
        frames=16,
        max_frames=None,
        schedule=SCHEDULE,
        clip_norms=(),
        notes=(),
        prediction="eps",
        bases=(SD2.name,),
    )


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    shapes = contents.weights
    head = shapes["input.proj_in.weight"][0] // INIT_HEADS
    layers: dict[Site, TemporalLayer] = {}
    for key, shape in shapes.items():
        if key.endswith(".resnet.norms.0.weight"):
            layers[key.removesuffix(".norms.0.weight")] = TemporalConv(shape[0], STAGES, Residual(), ops)
        elif key.endswith(".proj_in.weight") and ".ff." not in key:
            site = key.removesuffix(".proj_in.weight")
            layers[site] = transformer(site, shapes, head, ops)
    return layers


MODELSCOPE = Family(
    name="modelscope",
    title="ModelScope",
    spellings=(
        Spelling(
            "ModelScope", ("input_blocks.0.1.proj_in.weight", "input_blocks.{}.{}.temopral_conv.conv1.0.weight"), (), original
        ),
        Spelling("diffusers", ("transformer_in.proj_in.weight", "down_blocks.{}.temp_convs.{}.conv1.0.weight"), (), diffusers),
    ),
    variant=variant,
    build=build,
)
