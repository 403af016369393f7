"""Open-Sora 1.2's autoencoder (hpcaitech/Open-Sora v1.2.0): blocks of 17 frames to 5 latents, 8x8 pixels each."""

import re

from torch import nn

from ....sampling.windowing import TimeRatio, WindowSpec
from ...formats.facts import largest, under
from ...formats.keytable import KeyTable, prefixed, same, weights
from ...formats.published import Shapes, Spelling
from ..family import VaeFamily
from ..open_sora import OpenSoraVae
from ..spellings import diffusers_rows, layout_of

BLOCKS = tuple(f"{side}.{blocks}." for side in ("encoder", "decoder") for blocks in ("block_res_blocks.{}.{}", "res_blocks.{}"))
EDGES = ("quant_conv", "post_quant_conv", "encoder.conv_in", "encoder.conv2", "decoder.conv1", "decoder.conv_out")
RESAMPLING = ("encoder.conv_blocks.{}", "decoder.conv_blocks.{}")
CONVOLUTIONS = (*EDGES, *RESAMPLING, *(f"{block}conv{n}" for block in BLOCKS for n in (1, 2, 3)))
NORMS = ("encoder.norm1", "decoder.norm1", *(f"{block}norm{n}" for block in BLOCKS for n in (1, 2)))
TEMPORAL = weights(*((f"{name}.conv", name) for name in CONVOLUTIONS), *((name, name) for name in NORMS))


def table(keys: Shapes, prefix: str) -> KeyTable:
    inner = f"{prefix}spatial_vae.module."
    spatial = diffusers_rows([key for key in keys if key.startswith(inner)], inner)
    temporal = prefixed(TEMPORAL, f"{prefix}temporal_vae.", "temporal.")
    return KeyTable((*prefixed(spatial, ours="spatial."), *temporal, *prefixed(same("scale", "shift"), prefix)))


def build(shapes: Shapes) -> nn.Module:
    found = [m for key in shapes if (m := re.match(r"temporal\.encoder\.block_res_blocks\.(\d+)\.(\d+)\.conv2\.", key))]
    levels, blocks = (largest((int(m.group(n)) for m in found), "its temporal blocks") + 1 for n in (1, 2))
    first = "temporal.encoder.block_res_blocks.{}.0.conv2.weight"
    widths = tuple(shapes[first.format(level)][0] for level in range(levels))
    return OpenSoraVae(layout_of(under(shapes, "spatial.")), widths, blocks, shapes["temporal.post_quant_conv.weight"][0])


def time(network: nn.Module) -> TimeRatio:
    assert isinstance(network, OpenSoraVae)
    return TimeRatio(each=network.each, first=1, block=network.block)


OPEN_SORA = VaeFamily(
    name="open_sora",
    title="Open-Sora 1.2's VAE",
    spellings=(Spelling("published", ("temporal_vae.encoder.block_res_blocks.{}.{}.norm1.weight",), (), table),),
    build=build,
    time=time,
    windows=WindowSpec(size=5, overlap=0),
    note="squeezes 17 frames into 5 latents of its own, block by block",
)
