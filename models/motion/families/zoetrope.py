"""Zoetrope's own motion modules, after Align Your Latents 3.1 (arXiv 2304.08818).

A stack of (3,1,1) convolutions after each residual block and a temporal transformer after each spatial one, each blended as
alpha * spatial + (1 - alpha) * temporal with one learned alpha per layer; alpha = 1 gives the image model. The transformer
attends over the frames and then to the text, so that words for directions affect motion. Keys of files are in our spelling;
`zoetrope.frames` in the header is the number of frames that the module was trained on.
"""

from collections.abc import Mapping
from typing import Any

from ...backbones.unet import Site
from ...formats.facts import header_number, smallest
from ...formats.keytable import KeyTable, prefixed, product, same
from ...formats.published import Shapes, Spelling
from ...layers.blend import AlphaOfResidual
from ...layers.positions import Sinusoid
from ...layers.temporal import FrameAttention, TemporalBlock, TemporalConv, TemporalLayer, TemporalTransformer, TextAttention
from ..family import Contents, Family, Variant
from ..frame_guide import CLEAN

HEAD_WIDTH = 32
STAGES = 2

_CONV = ("norms.{}.weight", "norms.{}.bias", "convs.{}.weight", "convs.{}.bias")
_TRANSFORMER = (
    *(f"{name}.{p}" for name in ("norm", "proj_in", "proj_out") for p in ("weight", "bias")),
    *(f"blocks.{{}}.{name}.{p}" for name in ("norms.{}", "ff_norm", "ff.proj_in", "ff.proj_out") for p in ("weight", "bias")),
    *(f"blocks.{{}}.attentions.{{}}.{name}.weight" for name in ("to_q", "to_k", "to_v", "to_out")),
    "blocks.{}.attentions.{}.to_out.bias",
    "blocks.{}.attentions.{}.positions.pe",
)
ROWS = product(
    same("down.{}.{}.", "mid.{}.", "up.{}.{}.", "mid."),
    same(*(f"resnet.{p}" for p in (*_CONV, "blend.mix")), *(f"attention.{p}" for p in (*_TRANSFORMER, "blend.mix"))),
)


def table(keys: Shapes, prefix: str) -> KeyTable:
    return KeyTable(prefixed(ROWS, prefix))


def variant(contents: Contents) -> Variant:
    length = smallest((shape[1] for key, shape in contents.weights.items() if key.endswith(".positions.pe")), "position tables")
    return Variant(
        name="v1",
        frames=header_number(contents.metadata, "zoetrope.frames", length),
        max_frames=length,
        schedule=None,
        clip_norms=(),
        notes=(),
        guide=CLEAN,
        bases=(),
    )


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    """Empty layers for the shapes in a file."""
    shapes = contents.weights
    layers: dict[Site, TemporalLayer] = {}
    for key, shape in shapes.items():
        if key.endswith(".resnet.norms.0.weight"):
            layers[key.removesuffix(".norms.0.weight")] = convolution(shape[0], ops)
        elif key.endswith(".attention.norm.weight"):
            site = key.removesuffix(".norm.weight")
            frames = shapes[f"{site}.blocks.0.attentions.0.positions.pe"][1]
            layers[site] = transformer(shape[0], shapes[f"{site}.blocks.0.attentions.1.to_k.weight"][1], frames, ops)
    return layers


def design(sites: Mapping[Site, int], context: int, frames: int, ops: Any) -> dict[Site, TemporalLayer]:
    """New layers for a UNet with these sites, whose branches are initialised to zero output.

    sites    site -> width, as from `sites_of` or a host; widths are multiples of 32
    context  width of the text tokens
    frames   length of the position table
    """
    layers: dict[Site, TemporalLayer] = {}
    for site, channels in sites.items():
        if site.endswith("resnet"):
            layers[site] = conv = convolution(channels, ops)
            _set_zero(conv.convs[-1])
        elif site.endswith("attention"):
            layers[site] = attention = transformer(channels, context, frames, ops)
            _set_zero(attention.proj_out)
    return layers


def convolution(channels: int, ops: Any) -> TemporalConv:
    """A new temporal convolution at a residual block."""
    return TemporalConv(channels, STAGES, AlphaOfResidual("spatial", "sigmoid", 0.0), ops)


def transformer(channels: int, context: int, frames: int, ops: Any) -> TemporalTransformer:
    """A new temporal transformer at a spatial one. context: width of the text tokens; frames: length of the position table."""
    heads = channels // HEAD_WIDTH
    over_frames = FrameAttention(channels, heads, HEAD_WIDTH, Sinusoid(frames, channels), ops)
    to_text = TextAttention(channels, heads, HEAD_WIDTH, context, "frame", ops)
    block = TemporalBlock(channels, [over_frames, to_text], ops)
    return TemporalTransformer(channels, [block], channels, "frame", AlphaOfResidual("spatial", "sigmoid", 0.0), ops)


def _set_zero(layer: Any) -> None:
    layer.weight.data.zero_()
    layer.bias.data.zero_()


ZOETROPE = Family(
    name="zoetrope",
    title="Zoetrope",
    spellings=(
        Spelling("published", ("down.{}.{}.resnet.blend.mix", "down.{}.{}.attention.blend.mix"), (), table),
        Spelling("upscaler", ("down.{}.{}.resnet.blend.mix", "mid.attention.blend.mix"), (), table),
    ),
    variant=variant,
    build=build,
)
