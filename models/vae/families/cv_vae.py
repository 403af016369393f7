"""CV-VAE (arXiv 2405.20279): a video autoencoder with latents compatible with Stable Diffusion 2.1; 4 frames per latent.

AILab-CVC/CV-VAE 375f18a, `vae3d`. As published, clips are cut into windows of 17 frames or 5 latents that overlap by one.
"""

from torch import nn

from ....sampling.windowing import TimeRatio, WindowSpec
from ...formats.keytable import KeyTable, prefixed, weights
from ...formats.published import Shapes, Spelling
from ..causal import CausalVae
from ..family import VaeFamily
from ..spellings import layout_of, ldm_rows

ATTENTION = "decoder.mid.attn_1."
OVER_TIME = weights(*((f"{ATTENTION}{name}_t", f"{ATTENTION}{name}_t") for name in ("norm", "q", "k", "v", "proj_out")))


def table(keys: Shapes, prefix: str) -> KeyTable:
    return KeyTable(prefixed((*ldm_rows(), *OVER_TIME), prefix))


def build(shapes: Shapes) -> nn.Module:
    layout = layout_of(shapes)
    return CausalVae(layout.widths, layout.blocks, layout.latent)


def time(network: nn.Module) -> TimeRatio:
    assert isinstance(network, CausalVae)
    return TimeRatio(each=network.each, first=1)


CV_VAE = VaeFamily(
    name="cv_vae",
    title="CV-VAE",
    spellings=(Spelling("published", ("decoder.mid.attn_1.q_t.weight",), (), table),),
    build=build,
    time=time,
    windows=WindowSpec(size=5, overlap=1, fade=False),
    note="squeezes 4 frames into a latent of Stable Diffusion 2.1's kind",
)
