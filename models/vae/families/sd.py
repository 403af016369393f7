"""Stable Diffusion's image autoencoder (arXiv 2112.10752): frame by frame. 8 pixels per latent, or 4 (SD x4 upscaler).

Spellings: CompVis' and Stability's checkpoints, diffusers' folders, and diffusers' before 0.18. Upscale-A-Video's `vae_3d`
is the upscaler's autoencoder in the last spelling, run with norms that span three frames; here norms are per frame, as it was
trained.
"""

from torch import nn

from ....sampling.windowing import WindowSpec
from ...formats.keytable import KeyTable, prefixed
from ...formats.published import Shapes, Spelling
from ..family import VaeFamily, still
from ..kl import KLVae
from ..spellings import OLD, diffusers_rows, layout_of, ldm_rows

STRANGERS = (
    "decoder.{*}time_stack{*}",
    "decoder.{*}temporal_res_block{*}",
    "decoder.{*}conv_3d{*}",
    "temporal_vae.{*}",
    "decoder.{*}q_t.{*}",
)


def ldm(keys: Shapes, prefix: str) -> KeyTable:
    return KeyTable(prefixed(ldm_rows(), prefix))


def diffusers(keys: Shapes, prefix: str) -> KeyTable:
    return KeyTable(diffusers_rows(keys, prefix))


def old_diffusers(keys: Shapes, prefix: str) -> KeyTable:
    return KeyTable(diffusers_rows(keys, prefix, OLD))


def build(shapes: Shapes) -> nn.Module:
    return KLVae(layout_of(shapes))


SD = VaeFamily(
    name="sd",
    title="Stable Diffusion's VAE",
    spellings=(
        Spelling("published", ("encoder.down.{}.block.{}.conv1.weight", "decoder.mid.attn_1.q.weight"), STRANGERS, ldm),
        Spelling(
            "diffusers",
            ("encoder.down_blocks.{}.resnets.{}.conv1.weight", "decoder.mid_block.attentions.0.to_q.weight"),
            STRANGERS,
            diffusers,
        ),
        Spelling(
            "diffusers before 0.18",
            ("encoder.down_blocks.{}.resnets.{}.conv1.weight", "decoder.mid_block.attentions.0.query.weight"),
            STRANGERS,
            old_diffusers,
        ),
    ),
    build=build,
    time=still,
    windows=WindowSpec(size=16, overlap=0),
    note="an image VAE: frames do not see each other",
)
