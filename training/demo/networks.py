"""New, untrained networks in the embedded model's layout (demo/layout.py)."""

from typing import Any

from torch import nn

from ...demo.layout import (
    PATCH,
    PIXELS,
    PROJECTOR_HEAD,
    PROJECTOR_LAYERS,
    QUERIES,
    VISION_HEADS,
    VISION_LAYERS,
    WIDTH,
    new_motion,
)
from ...demo.text import TextConfig, TextEncoder
from ...demo.world import BACKGROUNDS, COLOURS, MOTIONS, RATES, SHAPES
from ...hosts.diffusers.demo.model import new_unet, new_vae
from ...hosts.diffusers.motion import unet_places
from ...models.image_prompt.layers import ImageKeys, ImageLayers, widths
from ...models.image_prompt.loading import ImageProjector
from ...models.image_prompt.networks import Resampler
from ...models.vae.families.svd import SVD
from ...models.vae.kl import ConvOverTime, KLVae, OverClip
from ...models.vae.loading import vae_from
from .config import DecoderRun

TOKENS = 12

__all__ = [
    "new_motion", "new_projector", "new_temporal_vae", "new_text", "new_unet", "new_vae", "new_vision", "over_frames",
    "trainable",
]  # fmt: skip


def new_temporal_vae(image: Any) -> KLVae:
    """diffusers' image VAE with Stable Video Diffusion's temporal layers in its decoder, initially without effect."""
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
    """Enables gradients of the parameters that a decoder stage trains, and disables all others."""
    network.requires_grad_(False)
    for parameter in (*over_frames(network), *(network.decoder.parameters() if run.train_image else ())):
        parameter.requires_grad_(True)


def over_frames(network: KLVae) -> list[nn.Parameter]:
    """Parameters of the temporal layers that `new_temporal_vae` adds."""
    return [p for module in network.modules() if isinstance(module, OverClip | ConvOverTime) for p in module.parameters()]


def new_text() -> TextEncoder:
    """Text encoder with the words of the grammar and the frame rates; 0.1 M parameters."""
    captions = [*COLOURS, *SHAPES, *MOTIONS, *BACKGROUNDS, *map(str, RATES), "a on at fps"]
    words = sorted({word for caption in captions for word in caption.split()})
    return TextEncoder(TextConfig(words=tuple(words), length=TOKENS, width=WIDTH, layers=2, heads=2))


def new_vision() -> Any:
    """open_clip's image tower, 0.2 M parameters. Its last layer has no effect: IP-Adapter plus uses the one before."""
    from open_clip.transformer import VisionTransformer

    tower = VisionTransformer(PIXELS, PATCH, WIDTH, VISION_LAYERS, VISION_HEADS, 4.0, output_dim=WIDTH)
    last: Any = tower.transformer.resblocks[-1]
    for layer in (last.attn.out_proj, last.mlp.c_proj):
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
    return tower


def new_projector(unet: Any) -> ImageProjector:
    """IP-Adapter plus for a UNet; keys and values are initialised from those of its text attention, as in IP-Adapter."""
    layers = {}
    for place, attention in unet_places(unet).cross_attentions.items():
        inner, context = widths(attention)
        layers[place] = ImageKeys(context, inner, False, nn)
        layers[place].load_state_dict({f"{name}.weight": getattr(attention, name).weight for name in ("to_k", "to_v")})
    resampler = Resampler(
        states=WIDTH, inner=WIDTH, width=WIDTH, queries=QUERIES, layers=PROJECTOR_LAYERS, heads=WIDTH // PROJECTOR_HEAD,
        head_width=PROJECTOR_HEAD, hidden=4 * WIDTH, frames=1, ops=nn,
    )  # fmt: skip
    nn.init.normal_(resampler.latents.table, std=WIDTH**-0.5)
    return ImageProjector(resampler, ImageLayers(layers))
