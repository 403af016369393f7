"""LVDM's 3-D autoencoder (arXiv 2211.13221), from its checkpoints: 4 frames and 8x8 pixels per latent.

YingqingHe/LVDM d251dcc. Files hold the weight of every padded convolution twice, under the names of wrapper and inner module.
"""

from torch import nn

from ....sampling.windowing import TimeRatio, WindowSpec
from ...formats.keytable import KeyTable, Row, prefixed, weights
from ...formats.published import Shapes, Spelling
from ..family import VaeFamily
from ..replicate import ReplicateVae

RES = ("encoder.conv_blocks.{}.res", "decoder.conv_blocks.{}.res1", "decoder.conv_blocks.{}.res2")
PADDED = (
    "encoder.conv_first", "encoder.conv_blocks.{}.down", "encoder.final_block.2", "decoder.conv_out", "quant_conv",
    "post_quant_conv", *(f"{res}.conv{n}" for res in RES for n in (1, 2)),
)  # fmt: skip
NORMS = ("encoder.final_block.0", *(f"{res}.norm{n}" for res in RES for n in (1, 2)))

ROWS = (
    *weights(*((f"{place}.conv", place) for place in PADDED)),
    *(Row(f"{place}.weight", f"alias:{place}.weight") for place in PADDED),
    *weights(("decoder.conv_blocks.{}.up.convt", "decoder.conv_blocks.{}.up"), *((norm, norm) for norm in NORMS)),
)


def table(keys: Shapes, prefix: str) -> KeyTable:
    return KeyTable(prefixed(ROWS, prefix))


def build(shapes: Shapes) -> nn.Module:
    levels = sum(key.startswith("encoder.conv_blocks.") and key.endswith(".down.weight") for key in shapes)
    return ReplicateVae(shapes["encoder.conv_first.weight"][0], levels, shapes["post_quant_conv.weight"][0])


def time(network: nn.Module) -> TimeRatio:
    assert isinstance(network, ReplicateVae)
    return TimeRatio(each=network.each, first=network.each)


LVDM = VaeFamily(
    name="lvdm",
    title="LVDM's VAE",
    spellings=(
        Spelling("published", ("encoder.conv_blocks.{}.down.conv.weight", "decoder.conv_blocks.{}.up.convt.weight"), (), table),
    ),
    build=build,
    time=time,
    windows=WindowSpec(size=4, overlap=2),
    note="squeezes 4 frames into a latent; its latents are LVDM's own",
)
