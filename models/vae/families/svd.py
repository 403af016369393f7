"""Stable Video Diffusion's autoencoder (arXiv 2311.15127): SD's encoder, and a decoder with a temporal part in every block.

Spellings: Stability-AI/generative-models, and diffusers' `AutoencoderKLTemporalDecoder`. Alpha is the weight of the temporal
side here, and of the spatial side in the same paper's UNet. It decodes the latents of SD 1.x and 2.x without any change.
"""

from torch import nn

from ....sampling.windowing import WindowSpec
from ...formats.keytable import KeyTable, Row, prefixed, weights
from ...formats.published import Shapes, Spelling
from ...layers.blend import Alpha
from ...layers.svd import TimeStackConv
from ..family import VaeFamily, still
from ..kl import ConvOverTime, KLVae, OverClip
from ..spellings import LDM_RESNET, RESNET, diffusers_rows, layout_of, ldm_rows

LDM_TIME = (
    *weights(
        ("time_stack.in_layers.0", "time.layer.norms.0"), ("time_stack.in_layers.2", "time.layer.convs.0"),
        ("time_stack.out_layers.0", "time.layer.norms.1"), ("time_stack.out_layers.3", "time.layer.convs.1"),
    ),
    Row("mix_factor", "time.layer.blend.mix"),
)  # fmt: skip
TIME = (
    *weights(
        ("temporal_res_block.norm1", "time.layer.norms.0"), ("temporal_res_block.conv1", "time.layer.convs.0"),
        ("temporal_res_block.norm2", "time.layer.norms.1"), ("temporal_res_block.conv2", "time.layer.convs.1"),
    ),
    Row("time_mixer.mix_factor", "time.layer.blend.mix"),
)  # fmt: skip


def ldm(keys: Shapes, prefix: str) -> KeyTable:
    rows = (*ldm_rows((*LDM_RESNET, *LDM_TIME)), *weights(("decoder.conv_out.time_mix_conv", "last.conv")))
    return KeyTable(prefixed(rows, prefix))


def diffusers(keys: Shapes, prefix: str) -> KeyTable:
    block = (*prefixed(RESNET, "spatial_res_block."), *TIME)
    rows = diffusers_rows(keys, prefix, decoder_block=block)
    return KeyTable((*rows, *weights((f"{prefix}decoder.time_conv_out", "last.conv"))))


def half(channels: int) -> nn.Module:
    return OverClip(TimeStackConv(channels, None, Alpha("temporal", "sigmoid", 0.0), nn))


def build(shapes: Shapes) -> nn.Module:
    return KLVae(layout_of(shapes), half=half, last=ConvOverTime)


SVD = VaeFamily(
    name="svd",
    title="Stable Video Diffusion's VAE",
    spellings=(
        Spelling("published", ("decoder.mid.block_1.time_stack.in_layers.0.weight",), (), ldm),
        Spelling("diffusers", ("decoder.mid_block.resnets.0.temporal_res_block.norm1.weight",), (), diffusers),
    ),
    build=build,
    time=still,
    windows=WindowSpec(size=14, overlap=4),
    note="decodes the latents of SD 1.x, SD 2.x and AnimateDiff as well, with less flicker than their own decoder",
)
