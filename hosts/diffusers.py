"""diffusers as host: motion modules in a `UNet2DConditionModel`, frames as its batch. No ComfyUI needed.

    with motion_in(unet, motion, frames=16, strength=1.0):
        noise = unet(latents, timesteps, encoder_hidden_states=text).sample     # latents (b f) c h w

`timesteps` may hold one value per row, so every frame may have its own noise level.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ..models.attention import AttentionFunction, scaled_dot_product
from ..models.injection import Injection, frames_per_clip
from ..models.motion import MotionModule
from ..models.sites import Site
from ..models.temporal import Clip


def unet_places(unet: Any) -> dict[Site, tuple[nn.Module, int]]:
    """Site -> the UNet's own module there and its width in channels, in the order in which they run.

    Raises ValueError for anything but a `UNet2DConditionModel`.
    """
    if not hasattr(unet, "down_blocks"):
        raise ValueError(f"expected diffusers' UNet2DConditionModel, got {type(unet).__name__}")
    places: dict[Site, tuple[nn.Module, int]] = {"input": (unet.conv_in, unet.conv_in.out_channels)}
    for level, block in enumerate(unet.down_blocks):
        places |= _level(f"down.{level}", block)
    if unet.mid_block is not None:
        places |= _middle(unet.mid_block)
    for level, block in enumerate(unet.up_blocks):
        places |= _level(f"up.{level}", block)
    return places


def _middle(block: Any) -> dict[Site, tuple[nn.Module, int]]:
    width = block.resnets[0].out_channels
    places: dict[Site, tuple[nn.Module, int]] = {
        f"mid.{index}.resnet": (resnet, width) for index, resnet in enumerate(block.resnets)
    }
    if block.attentions and block.attentions[0] is not None:
        places["mid.attention"] = (block.attentions[0], width)
    return places


def _level(name: str, block: Any) -> dict[Site, tuple[nn.Module, int]]:
    places: dict[Site, tuple[nn.Module, int]] = {}
    attentions = list(getattr(block, "attentions", ()))
    for index, resnet in enumerate(block.resnets):
        place = f"{name}.{index}"
        places[f"{place}.resnet"] = places[f"{place}.out"] = (resnet, resnet.out_channels)
        if attentions:
            places[f"{place}.attention"] = places[f"{place}.out"] = (attentions[index], resnet.out_channels)
    return places


def motion_like(motion: MotionModule, unet: Any) -> MotionModule:
    """The module itself where its weights are of the UNet's dtype and device, else a copy; the given one never changes."""
    device, dtype = unet.device, unet.dtype  # once: diffusers walks the whole network for each
    same = all(p.device == device and p.dtype == dtype for p in motion.parameters())
    return motion if same else copy.deepcopy(motion).to(device, dtype)


@contextmanager
def motion_in(
    unet: Any, motion: MotionModule, *, frames: int, strength: float = 1.0, attention: AttentionFunction = scaled_dot_product
) -> Iterator[None]:
    """Runs `motion` inside `unet` for the length of a `with` block; afterwards the UNet is as it was.

    frames    frames per clip; 0: the whole batch is one clip (no guidance halves)
    Raises ValueError where the module does not fit this UNet, or the clip is longer than the module can take.
    """
    places = unet_places(unet)
    motion.check_fit({site: width for site, (_, width) in places.items()})
    motion = motion_like(motion, unet)
    injection = Injection()

    def start(module: nn.Module, args: Any, kwargs: Any) -> None:
        sample = args[0] if args else kwargs["sample"]
        context = args[2] if len(args) > 2 else kwargs.get("encoder_hidden_states")
        clip = frames_per_clip(sample.shape[0], 1, frames)
        motion.check_frames(clip)
        injection.start(Clip(clip, strength, context, attention))

    def stop(module: nn.Module, args: Any, output: Any) -> None:
        injection.start(None)

    injection.install(motion, {site: place for site, (place, _) in places.items()})
    handles = (
        unet.register_forward_pre_hook(start, with_kwargs=True),
        unet.register_forward_hook(stop, always_call=True),
    )
    try:
        yield
    finally:
        injection.remove()
        for handle in handles:
            handle.remove()
