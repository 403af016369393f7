"""Motion LoRAs with a strength by frame: their factors as an additional model, added by hooks to outputs of a motion module.

The weights of the module are not patched, so each frame of a window or of a long shot gets the strength of its absolute number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import comfy.ops
from torch import Tensor

from ....models.edits.lora import LoraLayers
from ....models.edits.motion_lora import LoraOfModule, MotionLoraEdit, MotionLoraInputs
from ....models.edits.temporal import frames_per_clip
from ....models.layers.low_rank import LayerShape, of_lora
from ....models.layers.strength import ByFrame, Strength, at_frames, check_strength, is_zero
from ..call import LORA, free_key, numbering
from ..patching import HostEdit, UnetCall
from ..rebuild import patcher_for, rebuilt_by

FactorsByWeight = Mapping[str, tuple[Tensor, Tensor]]
"""Key of a motion module's weight -> (down `(rank, in)`, up `(out, rank)`)."""
WEIGHT = ".weight"
STRENGTH = "motion LoRA, strength_by_frame"
"""Name of the setting in errors."""


@dataclass(frozen=True)
class LoraByFrame:
    """A motion LoRA for one motion module, and its strength by frame."""

    patcher: Any
    """Of the factors."""
    strength: Tensor
    """`(f, 1, 1)`"""


def lora_by_frame(factors: FactorsByWeight, strength: Tensor) -> LoraByFrame:
    """A LoRA of these factors, with a strength `(f, 1, 1)`."""
    check_strength(STRENGTH, strength)
    return LoraByFrame(rebuilt_by(_patcher_of(factors), _patcher_of, factors), strength)


def _patcher_of(factors: FactorsByWeight, disable_dynamic: bool = False) -> Any:
    """The factors as layers of the host, which cast weights to the dtype and device of each call."""
    shapes = {key.removesuffix(WEIGHT): LayerShape(len(up), down.shape[1]) for key, (down, up) in factors.items()}
    pairs = {key.removesuffix(WEIGHT): pair for key, pair in factors.items()}
    products = {name: of_lora(up, down, None, 1.0, shapes[name]) for name, (down, up) in pairs.items()}
    network = LoraLayers(products, shapes, comfy.ops.manual_cast).requires_grad_(False).eval()
    return patcher_for(network, disable_dynamic)


def add_by_frame(patched: Any, motion_key: str, lora: LoraByFrame) -> None:
    """Adds the LoRA to a MODEL that has the motion module under this key."""
    key = free_key(LORA, patched.model_options["transformer_options"])
    own = {"strength": lora.strength, "by_frame": isinstance(lora.strength, ByFrame), "motion": motion_key}
    MotionLoraHooks(key, motion_key).add_to(patched, lora.patcher, own)


def has_lora_by_frame(patched: Any, motion_key: str) -> bool:
    """Whether the motion module under this key of a MODEL has a LoRA by frame."""
    options = patched.model_options["transformer_options"]
    return any(str(key).startswith(f"{LORA}.") and entry.get("motion") == motion_key for key, entry in options.items())


class MotionLoraHooks(HostEdit[MotionLoraInputs]):
    """The hooks of one motion LoRA by frame."""

    def __init__(self, key: str, motion_key: str):
        super().__init__(key, "motion LoRA by frame", MotionLoraEdit)
        self._motion_key = motion_key

    def networks(self, patcher: Any) -> list[Any]:
        modules, loras = (patcher.get_additional_models_with_key(key) for key in (self._motion_key, self._key))
        return [LoraOfModule(module.model, lora.model) for module, lora in zip(modules, loras, strict=True)]

    def inputs(self, call: UnetCall) -> MotionLoraInputs | None:
        strength, motion = call.entry.get("strength", 0.0), call.options.get(self._motion_key)
        if motion is None or is_zero(strength):
            return None
        rows = call.x.shape[0]
        frames, part = frames_per_clip(rows, call.chunks, motion.get("frames", 0)), rows // call.chunks
        here = at_frames(STRENGTH, strength, *numbering(call.options, part))
        return None if is_zero(here) else MotionLoraInputs(_by_clip(here, part, frames, call.chunks))


def _by_clip(strength: Strength, part: int, frames: int, chunks: int) -> Strength:
    """A number, where it is the same for all frames, or one per clip and frame `(b, f)`."""
    if not isinstance(strength, Tensor):
        return strength
    values = strength.as_subclass(Tensor).flatten()
    if bool((values == values[0]).all()):
        return float(values[0])
    return values.reshape(part // frames, frames).repeat(chunks, 1)
