"""The host's UNet: check of its architecture, its sites, its base model."""

from typing import Any

import comfy.ldm.modules.attention as comfy_attention
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, ResBlock, Upsample, VideoResBlock
from torch import nn

from ...models.backbones.places import Named, Places, norms_of, places_of, transformer_sites
from ...models.backbones.unet import Base, base_of

UPSCALER_CHANNELS = 4 + 3
"""Input channels of the x4 upscaler: the noisy latent and the small picture."""


def unet_of(model: Any) -> Any:
    """The Stable Diffusion UNet of a MODEL. Raises ValueError for other architectures."""
    unet = model.model.diffusion_model
    if not (hasattr(unet, "input_blocks") and hasattr(unet, "output_blocks")):
        raise ValueError(
            f"Zoetrope works on the UNet of Stable Diffusion 1.x, 2.x or XL, but this MODEL is a "
            f"{type(model.model).__name__} ({type(unet).__name__}). Load an SD1.x, SD2.x or SDXL checkpoint."
        )
    if any(isinstance(module, VideoResBlock) for module in unet.modules()):
        raise ValueError("this MODEL is a video model with temporal layers of its own (SVD); load an image checkpoint instead")
    return unet


def base_of_unet(unet: Any, places: Places) -> Base | None:
    """The base model (SD1.x, SD2.x, SDXL, ...) with this UNet's layout; None for any other layout."""
    text_widths = [m.to_k.in_features for n, m in unet.named_modules() if n.endswith("attn2") and hasattr(m, "to_k")]
    return base_of(places.widths, text_widths[0]) if text_widths else None


def is_upscaler(model: Any) -> bool:
    """Whether the MODEL's UNet has inputs for a small picture and its noise level."""
    unet = getattr(model.model, "diffusion_model", None)
    first = getattr(unet, "input_blocks", [[None]])[0][0]
    classes = getattr(unet, "label_emb", None)
    return getattr(first, "in_channels", 0) == UPSCALER_CHANNELS and isinstance(classes, nn.Embedding)


def unet_places(unet: Any) -> Places:
    """Modules of the UNet at each site, and its norms."""
    width = unet.model_channels
    sites: Named = {
        "time": (unet.time_embed, 4 * width), **down_sites(unet), **_level_ends(unet), **middle_sites(unet),
    }  # fmt: skip
    level = block = 0
    last: tuple[nn.Module, int] | None = None
    for layers in unet.output_blocks:
        block_sites = _block(f"up.{level}.{block}", layers)
        sites |= block_sites
        last = next(reversed(block_sites.values()), None)
        block += 1
        upsample = next((layer for layer in layers if isinstance(layer, Upsample)), None)
        if upsample is not None and last:
            sites[f"up.{level}.end"] = (upsample, last[1])
            level, block = level + 1, 0
    if last:
        sites[f"up.{level}.end"] = last
    norms = norms_of(sites, ("in_layers.0", "out_layers.0"), unet.out[0])
    return places_of(sites, norms, unet)


def middle_sites(unet: Any) -> Named:
    """Sites of the middle block, in a UNet or in a ControlNet; none where it has another shape."""
    if unet.middle_block is None or len(unet.middle_block) != 3:
        return {}
    first, attention, second = unet.middle_block
    width = first.out_channels
    return {
        "mid.0.resnet": (first, width), **transformer_sites("mid", attention, width), "mid.1.resnet": (second, width),
        "mid.end": (second, width),
    }  # fmt: skip


def _level_ends(unet: Any) -> Named:
    """Sites at the ends of the encoder's levels: the residual block that follows, and the level's width."""
    sites: Named = {}
    level, width = 0, unet.model_channels
    blocks = list(unet.input_blocks)[1:]
    for layers, following in zip(blocks, [*blocks[1:], unet.middle_block], strict=True):
        width = layers[0].out_channels if isinstance(layers[0], ResBlock) else width
        is_end = following is unet.middle_block or isinstance(layers[0], Downsample)
        if is_end and following is not None:
            sites[f"down.{level}.end"] = (following[0], width)
            level += 1
    return sites


def down_sites(unet: Any) -> Named:
    """Sites of the encoder half, of a UNet or a ControlNet."""
    sites: Named = {"input": (unet.input_blocks[0][0], unet.model_channels)}
    level = block = 0
    for layers in list(unet.input_blocks)[1:]:
        if isinstance(layers[0], Downsample):
            level, block = level + 1, 0
            continue
        sites |= _block(f"down.{level}.{block}", layers)
        block += 1
    return sites


def _block(name: str, layers: Any) -> Named:
    sites: Named = {}
    last: tuple[nn.Module, int] | None = None
    for layer in layers:
        if isinstance(layer, ResBlock):
            sites[f"{name}.resnet"] = last = (layer, layer.out_channels)
        elif isinstance(layer, comfy_attention.SpatialTransformer):
            sites |= transformer_sites(name, layer, layer.in_channels)
            last = (layer, layer.in_channels)
    return sites | ({f"{name}.out": last} if last else {})
