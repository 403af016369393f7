"""Rows that several autoencoders share: LDM's and diffusers' spelling of Stable Diffusion's KL-VAE. Ours is LDM's."""

import re
from collections.abc import Collection, Iterable

from ..formats.facts import largest
from ..formats.keytable import Drop, Row, prefixed, product, same, weights
from ..formats.published import Shapes
from .kl import Layout

MATRICES = ("q", "k", "v", "proj_out")
OLD = {"group_norm": "norm", "query": "q", "key": "k", "value": "v", "proj_attn": "proj_out"}
"""Names of the attention's layers in diffusers before 0.18, also used in Upscale-A-Video's files -> LDM's."""
NEW = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
"""The same names in later versions -> LDM's."""

EDGES = tuple(
    (f"{side}.{theirs}", f"{side}.{ours}")
    for side in ("encoder", "decoder")
    for theirs, ours in (("conv_in", "conv_in"), ("conv_norm_out", "norm_out"), ("conv_out", "conv_out"))
)
QUANT = (("quant_conv", "quant_conv"), ("post_quant_conv", "post_quant_conv"))

RESNET = weights(
    ("norm1", "norm1"), ("conv1", "conv1"), ("norm2", "norm2"), ("conv2", "conv2"), ("conv_shortcut", "nin_shortcut")
)  # fmt: skip
"""Rows of a residual block, (diffusers, LDM)."""

LDM_RESNET = same(*(row.ours for row in RESNET))


def ldm_rows(decoder_block: Iterable[Row] = LDM_RESNET) -> tuple[Row, ...]:
    """Rows for LDM's spelling, in which attention is stored as 1x1 convolutions.

    decoder_block   rows of a residual block in the decoder
    """
    encoder = [
        Row("encoder.mid.block_{}.", "encoder.mid.block_{}."),
        Row("encoder.down.{}.block.{}.", "encoder.down.{}.block.{}."),
    ]
    decoder = [Row("decoder.mid.block_{}.", "decoder.mid.block_{}."), Row("decoder.up.{}.block.{}.", "decoder.up.{}.block.{}.")]
    places = [f"{side}.mid.attn_1." for side in ("encoder", "decoder")]
    attention = [Row(f"{place}{name}.weight", f"{place}{name}.weight", Drop(2, 2)) for place in places for name in MATRICES]
    attention += same(*(f"{place}{name}.bias" for place in places for name in MATRICES))
    attention += same(*(f"{place}norm.{p}" for place in places for p in ("weight", "bias")))
    samplers = weights(*((name, name) for name in ("encoder.down.{}.downsample.conv", "decoder.up.{}.upsample.conv")))
    edges = weights(*((ours, ours) for _, ours in EDGES), *QUANT)
    return (*product(encoder, LDM_RESNET), *product(decoder, decoder_block), *attention, *samplers, *edges)


def diffusers_rows(
    keys: Collection[str], prefix: str = "", attention: dict[str, str] = NEW, decoder_block: Iterable[Row] = RESNET
) -> tuple[Row, ...]:
    """Rows for diffusers' spelling, which numbers the decoder's levels in the opposite order.

    attention       names of the attention's layers: `NEW` or `OLD`
    decoder_block   rows of a residual block in the decoder
    """
    level = re.compile(re.escape(prefix) + r"encoder\.down_blocks\.(\d+)\.")
    last = largest((int(m.group(1)) for key in keys if (m := level.match(key))), "its encoder's levels")
    blocks = [
        Row("encoder.mid_block.resnets.0.", "encoder.mid.block_1."),
        Row("encoder.mid_block.resnets.1.", "encoder.mid.block_2."),
        Row("encoder.down_blocks.{}.resnets.{}.", "encoder.down.{}.block.{}."),
    ]  # fmt: skip
    up = [Row(f"decoder.mid_block.resnets.{n}.", f"decoder.mid.block_{n + 1}.") for n in (0, 1)]
    up += [Row(f"decoder.up_blocks.{n}.resnets.{{}}.", f"decoder.up.{last - n}.block.{{}}.") for n in range(last + 1)]
    samplers = [("encoder.down_blocks.{}.downsamplers.0.conv", "encoder.down.{}.downsample.conv")]
    samplers += [(f"decoder.up_blocks.{n}.upsamplers.0.conv", f"decoder.up.{last - n}.upsample.conv") for n in range(last)]
    middle = [Row(f"{side}.mid_block.attentions.0.", f"{side}.mid.attn_1.") for side in ("encoder", "decoder")]
    rows = (*product(blocks, RESNET), *product(up, decoder_block), *product(middle, weights(*attention.items())))
    return prefixed((*rows, *weights(*samplers, *EDGES, *QUANT)), prefix)


def layout_of(shapes: Shapes) -> Layout:
    """Layout of the autoencoder with these shapes, in our spelling. Raises WrongFile where they are not those of one."""
    levels = {int(m.group(1)) for key in shapes if (m := re.match(r"encoder\.down\.(\d+)\.block\.", key))}
    blocks = {int(m.group(1)) for key in shapes if (m := re.match(r"encoder\.down\.0\.block\.(\d+)\.", key))}
    largest(levels, "its encoder's levels")
    return Layout(
        widths=tuple(shapes[f"encoder.down.{level}.block.0.conv1.weight"][0] for level in range(len(levels))),
        blocks=len(blocks),
        latent=shapes["decoder.conv_in.weight"][1],
        quant="quant_conv.weight" in shapes,
        post_quant="post_quant_conv.weight" in shapes,
    )
