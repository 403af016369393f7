"""LoRA with a strength by frame or by mask: its factors as an additional model, added by hooks to the outputs of layers.

No weight is patched, so a LoRA acts where the host's own scheduled LoRAs do not (streamed weights, quantised weights), and each
frame of a window or of a long shot gets the strength of its absolute number.
"""

from dataclasses import dataclass
from typing import Any

import torch
from einops import repeat
from torch import Tensor

from ....models.edits.lora import LoraEdit, LoraInputs
from ....models.edits.temporal import frames_per_clip
from ....models.layers.strength import ByFrame, Strength, at_frames, check_strength, is_zero
from ..call import LORA, free_key, numbering
from ..patching import HostEdit, UnetCall, check_range
from ..regions import regions_of


@dataclass(frozen=True)
class HostLora:
    """A LoRA in the host's hands, read for the UNet of one MODEL."""

    patcher: Any
    """Of the factors."""
    file: str
    report: str
    """Which keys of the file act by frame, and which do not."""


@dataclass(frozen=True)
class LoraSettings:
    """How a LoRA is applied; all plain data."""

    strength: Strength = 1.0
    """A number, by frame, by mask `(f or 1, h, w)`, or both multiplied."""
    start: float = 0.0
    """Share of the sampling after which it begins to act."""
    end: float = 1.0
    """Share of the sampling at which it ends."""

    def __post_init__(self) -> None:
        check_strength("strength", self.strength)
        check_range(self.start, self.end)


def apply_lora(model: Any, lora: HostLora, settings: LoraSettings) -> Any:
    """A clone of MODEL with the LoRA; the MODEL's own outputs bit for bit where the strength is 0."""
    patched = model.clone()
    if is_zero(settings.strength):
        return patched
    key = free_key(LORA, patched.model_options["transformer_options"])
    own = {
        "strength": settings.strength, "start": settings.start, "end": settings.end,
        "by_frame": isinstance(settings.strength, ByFrame),
    }  # fmt: skip
    LoraHooks(key).add_to(patched, lora.patcher, own)
    return patched


class LoraHooks(HostEdit[LoraInputs]):
    """The hooks of one LoRA."""

    uses_regions = True

    def __init__(self, key: str):
        super().__init__(key, "LoRA by frame", LoraEdit)

    def inputs(self, call: UnetCall) -> LoraInputs | None:
        strength = call.entry.get("strength", 0.0)
        active = self.active(call.unet, call.options)
        if is_zero(strength) or is_zero(active):
            return None
        part = frames_per_clip(call.x.shape[0], call.chunks, 0)
        numbers, length = numbering(call.options, part)
        here = at_frames("LoRA by frame, strength", strength, numbers, length)
        here = here * (active.cpu() if isinstance(active, Tensor) else active)
        if is_zero(here):
            return None
        return LoraInputs(_by_row(here, call))


def _by_row(strength: Strength, call: UnetCall) -> Strength:
    """A number, where it is the same everywhere, or the strength of each row of the batch."""
    if not isinstance(strength, Tensor):
        return strength
    strength, part = strength.as_subclass(Tensor), call.x.shape[0] // call.chunks
    if strength.shape[1:] == (1, 1):
        if bool((strength == strength[0]).all()):
            return float(strength[0])
        return repeat(strength.expand(part, -1, -1), "f h w -> (b f) h w", b=call.chunks)
    regions = regions_of(call.options, call.chunks, call.x.shape[-2:])
    return torch.cat([region.cut(strength).expand(part, -1, -1) for region in regions])
