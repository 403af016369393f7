"""Upscale-A-Video's autoencoder `vae_video` (arXiv 2312.06640): 4 pixels per latent, a decoder over clips.

sczhou/Upscale-A-Video 10ca1d7, in the spelling of diffusers 0.16. Latents are those of the SD x4 upscaler. Its `vae_3d` has the
keys of an image autoencoder: families/sd.py.
"""

from torch import nn

from ....sampling.windowing import WindowSpec
from ...formats.keytable import KeyTable, Row, prefixed, product, weights
from ...formats.published import Shapes, Spelling
from ..family import VaeFamily, still
from ..guided import GuidedVae
from ..spellings import OLD, RESNET, diffusers_rows, layout_of

BLOCK = (*RESNET, *weights(("norm_3d", "time.layer.norm"), ("conv_3d", "time.layer.conv")))
GUIDE = (
    *product((Row("decoder.condition_in.{}.", "guide.see.{}."),), BLOCK),
    *product((Row("decoder.condition_fuse.shared.{}.", "guide.fuse.{}."),), RESNET),
    *weights(("decoder.condition_fuse.scale", "guide.scale"), ("decoder.condition_fuse.shift", "guide.shift")),
)


def table(keys: Shapes, prefix: str) -> KeyTable:
    return KeyTable((*diffusers_rows(keys, prefix, OLD, BLOCK), *prefixed(GUIDE, prefix)))


def build(shapes: Shapes) -> nn.Module:
    guide = shapes.get("guide.see.0.conv1.weight")
    return GuidedVae(layout_of(shapes), guide[0] if guide else 0)


UPSCALE_A_VIDEO = VaeFamily(
    name="upscale_a_video",
    title="Upscale-A-Video's VAE",
    spellings=(Spelling("published", ("decoder.up_blocks.{}.resnets.{}.conv_3d.weight",), (), table),),
    build=build,
    time=still,
    windows=WindowSpec(size=8, overlap=2),
    note="decodes the latents of the SD x4 upscaler; the low-res video that its upscaler shows it is left out here",
)
