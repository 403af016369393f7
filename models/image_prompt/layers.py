"""Key and value projections of image tokens, a pair per cross-attention of a UNet (run by `models/edits/image_attention.py`).

A place is the site of a spatial transformer and the index of its block: `down.1.0.attention.0`, `mid.attention.3`.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..backbones.places import Places
from ..backbones.unet import Base
from ..errors import DoesNotFit
from ..layers.tree import plant

Place = str


class ImageKeys(nn.Module):
    """Key and value projections of one cross-attention; DynamiCrafter 256 has a learned weight tanh(alpha) + 1."""

    def __init__(self, context: int, inner: int, learned: bool, ops: Any):
        super().__init__()
        self.context, self.inner = context, inner
        self.to_k = ops.Linear(context, inner, bias=False)
        self.to_v = ops.Linear(context, inner, bias=False)
        self.weight = LearnedWeight() if learned else None


class LearnedWeight(nn.Module):
    """The scalar tanh(alpha) + 1."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, like: Tensor) -> Tensor:
        return (self.alpha.float().tanh() + 1).to(like.device, like.dtype)


class ImageLayers(nn.Module):
    """Image layers in a tree whose paths are their places, as those of a MotionModule are sites."""

    def __init__(self, layers: Mapping[Place, ImageKeys]):
        super().__init__()
        self.places = tuple(layers)
        plant(self, layers)

    def at(self, place: Place) -> ImageKeys:
        """The layer at a place."""
        return cast(ImageKeys, self.get_submodule(place))

    def check_fit(self, places: Places) -> None:
        """Raises DoesNotFit for a UNet whose cross-attentions are not those that the file was made for."""
        found = places.cross_attentions
        lines = [f"{place}: the UNet has no such attention" for place in self.places if place not in found]
        for place in (place for place in self.places if place in found):
            inner, context = widths(found[place])
            expected = (self.at(place).inner, self.at(place).context)
            if expected != (inner, context):
                lines.append(f"{place}: {expected[0]} x {expected[1]} in the file, {inner} x {context} in the UNet")
        if lines:
            more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
            raise DoesNotFit(
                f"the image projector does not fit this model: {'; '.join(lines[:3])}{more}. Its keys and values are for "
                f"text {self.at(self.places[0]).context} wide (SD1.x: 768, SD2.x: 1024, SDXL: 2048); load a checkpoint of that "
                "kind, or a projector for this one."
            )


def widths(attention: Any) -> tuple[int, int]:
    """Inner width and text width of a UNet's cross-attention."""
    return attention.to_k.out_features, attention.to_k.in_features


def places_of(base: Base) -> list[Place]:
    """Cross-attentions of a base model in the order in which IP-Adapter numbers them: down, up, middle."""
    levels = list(enumerate(base.attention))
    down = [f"down.{level}.{n}.attention.{i}" for level, depth in levels for n in range(base.blocks) for i in range(depth)]
    upwards = list(enumerate(reversed(base.attention)))
    up = [f"up.{level}.{n}.attention.{i}" for level, depth in upwards for n in range(base.blocks + 1) for i in range(depth)]
    return [*down, *up, *(f"mid.attention.{i}" for i in range(base.attention[-1] or 1))]
