"""diffusers as host: motion modules in a `UNet2DConditionModel`, frames as its batch. No ComfyUI needed.

    with motion_in(unet, motion, frames=16, strength=1.0):
        noise = unet(latents, timesteps, encoder_hidden_states=text).sample     # latents (b f) c h w

`timesteps` may have one value per row, so each frame may have a noise level of its own.
"""

import copy
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from torch import nn

from ...models.backbones.places import Named, Places, norms_of, places_of, transformer_sites
from ...models.edits.temporal import TemporalEdit, TemporalInputs, frames_per_clip
from ...models.layers.attention import AttentionFunction, scaled_dot_product
from ...models.layers.positions import Beyond
from ...models.layers.strength import Strength, check_strength
from ...models.layers.temporal import TemporalContext
from ...models.motion.module import MotionModule
from .projections import check_separate, require_projection_calls

KEYS = ("to_k", "to_v")
"""Modules of a self-attention that sparse-causal attention is hooked into."""
SPARSE = "sparse-causal attention (LaVie's interpolation model)"


def unet_places(unet: Any) -> Places:
    """Modules of the UNet at each site, and its norms.

    Raises ValueError for anything but a `UNet2DConditionModel`.
    """
    if not hasattr(unet, "down_blocks"):
        raise ValueError(f"expected diffusers' UNet2DConditionModel, got {type(unet).__name__}")
    sites: Named = {
        "time": (unet.time_embedding, unet.time_embedding.linear_2.out_features),
        "input": (unet.conv_in, unet.conv_in.out_channels),
    }
    next_blocks = [*unet.down_blocks[1:], unet.mid_block]
    for level, (block, following) in enumerate(zip(unet.down_blocks, next_blocks, strict=True)):
        sites |= _level(f"down.{level}", block)
        if following is not None:
            sites[f"down.{level}.end"] = (following.resnets[0], block.resnets[-1].out_channels)
    if unet.mid_block is not None:
        sites |= _middle(unet.mid_block)
    for level, block in enumerate(unet.up_blocks):
        level_sites = _level(f"up.{level}", block)
        sites |= level_sites
        last = list(level_sites.values())[-1]
        sites[f"up.{level}.end"] = (block.upsamplers[0], last[1]) if block.upsamplers else last
    norms = norms_of(sites, ("norm1", "norm2"), unet.conv_norm_out)
    return places_of(sites, norms, unet)


def _middle(block: Any) -> Named:
    width = block.resnets[0].out_channels
    first, *later = ((f"mid.{index}.resnet", (resnet, width)) for index, resnet in enumerate(block.resnets))
    has_attention = block.attentions and block.attentions[0] is not None
    attention = transformer_sites("mid", block.attentions[0], width) if has_attention else {}
    end = {"mid.end": (block.resnets[-1], width)}
    return dict([first]) | attention | dict(later) | end


def _level(name: str, block: Any) -> Named:
    places: Named = {}
    attentions = list(getattr(block, "attentions", ()))
    for index, resnet in enumerate(block.resnets):
        place, width = f"{name}.{index}", resnet.out_channels
        places[f"{place}.resnet"] = (resnet, width)
        if attentions:
            places |= transformer_sites(place, attentions[index], width)
        places[f"{place}.out"] = (attentions[index] if attentions else resnet, width)
    return places


def motion_like(motion: MotionModule, unet: Any) -> MotionModule:
    """The module itself where it has the UNet's dtype and device, else a converted copy; the argument is not modified."""
    device, dtype = unet.device, unet.dtype  # read once: diffusers iterates over all parameters at each access
    same = all(p.device == device and p.dtype == dtype for p in motion.parameters())
    return motion if same else copy.deepcopy(motion).to(device, dtype)


@contextmanager
def motion_in(
    unet: Any,
    motion: MotionModule,
    *,
    frames: int,
    strength: Strength = 1.0,
    attention: AttentionFunction = scaled_dot_product,
    amount: Strength | tuple[Strength, ...] = 1.0,
    fps: float | None = None,
    beyond: Beyond = "refuse",
    levels: Mapping[str, float] | None = None,
) -> Iterator[None]:
    """Runs `motion` inside `unet` for the length of a `with` block; afterwards the UNet is as it was.

    frames    frames per clip; 0: the whole batch is one clip (no guidance halves)
    strength, amount   a number, or one per frame and pixel `(f or 1, h or 1, w or 1)`
    fps       for families conditioned on the frame rate; None: the family's default
    beyond    how positions are computed for clips longer than the module was trained on
    levels    prefixes of sites -> factor of the strength there
    Raises ValueError where the module does not fit this UNet, the clip is longer than the module supports, or the module acts
    on the UNet's own attentions and these do not call the hooked modules (fused projections).
    """
    places = unet_places(unet)
    motion.check_fit(places.widths)
    check_strength("strength", strength)
    motion = motion_like(motion, unet)
    edit = TemporalEdit()
    settings = {"amount": amount, "fps": fps or motion.fps, "beyond": beyond}

    def start(module: nn.Module, args: Any, kwargs: Any) -> None:
        sample = args[0] if args else kwargs["sample"]
        context = args[2] if len(args) > 2 else kwargs.get("encoder_hidden_states")
        count = frames_per_clip(sample.shape[0], 1, frames)
        motion.check_frames(count, beyond)
        size = (sample.shape[-2], sample.shape[-1])
        clip = TemporalContext(count, strength, context, attention, size=size, **settings)
        edit.give(TemporalInputs(clip, sample.shape[0], levels or {}))

    with _self_attentions_checked(unet, motion, places), installed(edit, motion, places, unet, start):
        yield


def _self_attentions_checked(unet: Any, motion: MotionModule, places: Places) -> AbstractContextManager[None]:
    if not motion.sparse_causal:
        return nullcontext()
    check_separate(places.self_attentions, KEYS, SPARSE)
    return require_projection_calls(unet, places.self_attentions, KEYS, SPARSE)


@contextmanager
def installed(edit: TemporalEdit, motion: MotionModule, places: Places, unet: Any, start: Any) -> Iterator[None]:
    """Installs the edit's hooks for the length of a `with` block; `start` runs before each call of the UNet."""

    def stop(module: nn.Module, args: Any, output: Any) -> None:
        edit.give(None)

    edit.install(motion, places)
    handles = (
        unet.register_forward_pre_hook(start, with_kwargs=True),
        unet.register_forward_hook(stop, always_call=True),
    )
    try:
        yield
    finally:
        edit.remove()
        for handle in handles:
            handle.remove()
