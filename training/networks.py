"""New, untrained networks in the embedded model's layout (models/demo.py)."""

from typing import Any

from torch import nn

from ..hosts.diffusers_demo import new_unet, new_vae
from ..media.world import BACKGROUNDS, COLOURS, MOTIONS, RATES, SHAPES
from ..models.demo import WIDTH, new_motion
from ..models.text import TextConfig, TextEncoder
from ..models.vae.families.svd import SVD
from ..models.vae.kl import ConvOverTime, KLVae, OverClip
from ..models.vae.loading import vae_from
from .config import DecoderRun

TOKENS = 12

__all__ = ["new_motion", "new_temporal_vae", "new_text", "new_unet", "new_vae", "over_frames", "trainable"]


def new_temporal_vae(image: Any) -> KLVae:
    """diffusers' image VAE with Stable Video Diffusion's layers over frames in its decoder, silent at birth."""
    weights = vae_from(image.state_dict()).network.state_dict()
    network = SVD.build({key: tuple(value.shape) for key, value in weights.items()})
    assert isinstance(network, KLVae)
    for name, parameter in network.named_parameters():
        if name.endswith(("time.layer.convs.1.weight", "time.layer.convs.1.bias", "last.conv.bias")):
            nn.init.zeros_(parameter)
        elif name == "last.conv.weight":
            nn.init.dirac_(parameter)
    network.load_state_dict(network.state_dict() | weights)
    return network


def trainable(network: KLVae, run: DecoderRun) -> None:
    """What a decoder run trains takes gradients, the rest does not; the encoder never."""
    network.requires_grad_(False)
    for parameter in (*over_frames(network), *(network.decoder.parameters() if run.train_image else ())):
        parameter.requires_grad_(True)


def over_frames(network: KLVae) -> list[nn.Parameter]:
    """What `new_temporal_vae` added."""
    return [p for module in network.modules() if isinstance(module, OverClip | ConvOverTime) for p in module.parameters()]


def new_text() -> TextEncoder:
    """Knows the grammar's words and the frame rates; 0.1 M parameters."""
    captions = [*COLOURS, *SHAPES, *MOTIONS, *BACKGROUNDS, *map(str, RATES), "a on at fps"]
    words = sorted({word for caption in captions for word in caption.split()})
    return TextEncoder(TextConfig(words=tuple(words), length=TOKENS, width=WIDTH, layers=2, heads=2))
