"""Motion LoRA as an edit: `s * up(down(x))` added to the output of a motion module's linear layers, with a strength s by frame.

Temporal layers attend over frames, so their sequence axis has a strength for each frame. Weights of the module do not change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..layers.strength import Strength
from ..layers.temporal import TextAttention
from .hooks import Edit
from .lora import LoraLayers, add_change


@dataclass(frozen=True)
class LoraOfModule:
    """The factors of a LoRA, and the motion module that has its layers."""

    module: nn.Module
    lora: LoraLayers


@dataclass(frozen=True)
class MotionLoraInputs:
    """Inputs of one call."""

    strength: Strength
    """A number, or one per clip and frame `(b, f)`."""


class MotionLoraEdit(Edit[MotionLoraInputs]):
    """The layers of one motion LoRA."""

    def __init__(self) -> None:
        super().__init__()
        self._shares: dict[Any, Tensor] = {}

    def wanted(self, network: LoraOfModule) -> Mapping[Site, int]:
        return {}

    def hooks(self, network: LoraOfModule, places: Places) -> Iterator[RemovableHandle]:
        text = [part for part in network.module.modules() if isinstance(part, TextAttention)]
        reads_text = {id(layer) for part in text for layer in (part.to_k, part.to_v)}
        for name in network.lora.names:
            layer = network.module.get_submodule(name)
            yield add_change(layer, network.lora.at(name), partial(self._share, text=id(layer) in reads_text))

    def give(self, inputs: MotionLoraInputs | None) -> MotionLoraInputs | None:
        self._shares.clear()
        return super().give(inputs)

    def _share(self, output: Tensor, text: bool) -> Strength | None:
        """The strength for a layer's output `(b p) f d`, or for keys and values of the text; None without inputs."""
        strength = self.inputs and self.inputs.strength
        if not isinstance(strength, Tensor):
            return strength
        key = (len(output), text, output.device, output.dtype)
        if key not in self._shares:
            share = _of_text(strength, output) if text else _of_frames(strength, output)
            self._shares[key] = share.to(output.device, output.dtype)
        return self._shares[key]


def _of_frames(strength: Tensor, output: Tensor) -> Tensor:
    """`(b p) f 1` for an output `(b p) f d`."""
    clips, frames = strength.shape
    if output.ndim != 3 or output.shape[1] != frames or len(output) % clips:
        raise _misfit(strength, output)
    return strength.repeat_interleave(len(output) // clips, dim=0)[..., None]


def _of_text(strength: Tensor, output: Tensor) -> Tensor:
    """`(b f) 1 1` for the text of each frame; `b 1 1` for one text per clip, which gets the mean of its frames."""
    if len(output) == strength.numel():
        return strength.reshape(-1, 1, 1)
    if len(output) == len(strength):
        return strength.mean(1).reshape(-1, 1, 1)
    raise _misfit(strength, output)


def _misfit(strength: Tensor, output: Tensor) -> ValueError:
    clips, frames = strength.shape
    return ValueError(
        f"motion LoRA, strength_by_frame: expected the output of a temporal layer for {clips} clips of {frames} frames, got "
        f"shape {list(output.shape)}. Use the same strength for all frames of this motion module."
    )
