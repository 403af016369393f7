"""LoRA as an edit: `s * up(down(x))` added to the output of each layer, with a strength s by frame or by mask.

Rows of a batch are frames, so every frame may have a strength of its own, which a patched weight cannot have. Weights of the
backbone are neither changed nor read: a LoRA acts on quantised and on streamed weights as well.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..errors import DoesNotFit
from ..layers.low_rank import Factors, LayerShape, LowRank
from ..layers.strength import Strength, resized
from ..layers.tree import plant
from .hooks import Edit, LevelSize


class LoraLayers(nn.Module):
    """The factors of one LoRA in a tree whose paths are the names of the backbone's layers."""

    def __init__(self, factors: Mapping[str, Factors], shapes: Mapping[str, LayerShape], ops: Any):
        super().__init__()
        self.names = tuple(factors)
        plant(self, {name: LowRank(held, shapes[name], ops) for name, held in factors.items()})

    def at(self, name: str) -> LowRank:
        return cast(LowRank, self.get_submodule(name))


@dataclass(frozen=True)
class LoraInputs:
    """Inputs of one call."""

    strength: Strength
    """A number, or one picture per row of the batch `(b f) h w`, 1x1 for a number per row."""


class LoraEdit(Edit[LoraInputs]):
    """The layers of one LoRA. They are added before any other hook reads the output of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self._size = LevelSize()
        self._shares: dict[Any, Tensor] = {}

    def wanted(self, network: LoraLayers) -> Mapping[Site, int]:
        return {}

    def hooks(self, network: LoraLayers, places: Places) -> Iterator[RemovableHandle]:
        yield from self._size.hooks(places, [site for site in places.sites if site.endswith(".attention")])
        reads_text = {
            id(layer)
            for attention in places.cross_attentions.values()
            for layer in (attention.get_submodule("to_k"), attention.get_submodule("to_v"))
        }
        for name in network.names:
            layer = places.layers.get(name)
            if layer is None:
                raise DoesNotFit(f"LoRA: expected a linear or convolution layer {name} in this model, got none of that name")
            yield add_change(layer, network.at(name), partial(self._share, text=id(layer) in reads_text))

    def give(self, inputs: LoraInputs | None) -> LoraInputs | None:
        self._size.now = None
        self._shares.clear()
        return super().give(inputs)

    def _share(self, output: Tensor, text: bool) -> Strength | None:
        """The strength for a layer's output `(b f) c h w`, `(b f) p d` or `(b f) e`; None without inputs.

        A mask acts where the output has a picture. Layers that read the text or the time have none: they get the mean.
        """
        strength = self.inputs and self.inputs.strength
        if not isinstance(strength, Tensor):
            return strength
        placed = strength.shape[1:] != (1, 1) and not text and output.ndim > 2
        size = tuple(output.shape[2:] if output.ndim == 4 else self._size.now or ()) if placed else ()
        key = (len(output), output.ndim, size, output.device, output.dtype)
        if key not in self._shares:
            share = _placed(strength, output, size) if placed else _by_row(strength, output)
            self._shares[key] = share.to(output.device, output.dtype)
        return self._shares[key]


def add_change(layer: nn.Module, low_rank: LowRank, share: Callable[[Tensor], Strength | None]) -> RemovableHandle:
    """Registers a hook that adds `share(output) * low_rank(input)` to a layer's output; where the share is None, nothing."""

    def add(module: nn.Module, args: Any, output: Tensor) -> Any:
        factor = share(output)
        if factor is None:
            return None
        change = low_rank(args[0])
        return torch.addcmul(output, change, factor) if isinstance(factor, Tensor) else output.add(change, alpha=factor)

    return layer.register_forward_hook(add, prepend=True)


def _by_row(strength: Tensor, output: Tensor) -> Tensor:
    """One number per row. Rows that others cut into tiles keep theirs, rows that hold tokens of several frames get the mean."""
    numbers, rows = strength.mean((1, 2)), len(output)
    if rows % len(numbers) == 0:
        numbers = numbers.repeat_interleave(rows // len(numbers))
    elif len(numbers) % rows == 0:
        numbers = numbers.reshape(rows, -1).mean(1)
    else:
        raise ValueError(
            f"LoRA by frame: expected a layer's output for {len(numbers)} frames, got {rows} rows. Another node has changed "
            "the batch inside the UNet; remove it from this MODEL, or use the same strength for all frames."
        )
    return numbers.reshape(-1, *[1] * (output.ndim - 1))


def _placed(strength: Tensor, output: Tensor, size: tuple[int, ...]) -> Tensor:
    """One number per row and position."""
    if output.ndim == 4 and len(output) == len(strength):
        return resized(strength, *size)[:, None]
    if output.ndim == 3 and len(output) == len(strength) and len(size) == 2 and output.shape[1] == size[0] * size[1]:
        return resized(strength, *size).flatten(1)[..., None]
    raise ValueError(
        f"LoRA by frame, mask: expected the picture of each of {len(strength)} frames, got an output of shape "
        f"{list(output.shape)}. Another node cuts or merges tokens (HyperTile, Token Merging, Merge Across Frames); remove it "
        "from this MODEL, or use a strength without a mask."
    )
