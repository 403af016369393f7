"""Which part of the picture a call of the UNet is about: conditions for an area and tiles cut it out of the whole.

What is laid over a picture (masks, given frames) is meant for the whole one. The host gives the ids of the conditions that a
call is made of, but not where they lie; a wrapper notes that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ...models.layers.strength import resized
from .call import PLACES, TILE, wrap_model


@dataclass(frozen=True)
class Region:
    """A rectangle of the whole latent."""

    top: int
    left: int
    height: int
    width: int
    whole: tuple[int, int]
    """Height and width of the whole latent."""

    @property
    def is_whole(self) -> bool:
        return (self.height, self.width) == self.whole

    def cut(self, pictures: Tensor) -> Tensor:
        """What of whole pictures `... h w` of any size lies here `... height width`; numbers `... 1 1` stay."""
        if pictures.shape[-2:] == (1, 1) or self.is_whole:
            return pictures
        whole = resized(pictures, *self.whole)
        return whole[..., self.top : self.top + self.height, self.left : self.left + self.width]


def record_regions(patched: Any) -> None:
    """Lets every call of a MODEL know where its conditions lie. Several edits may ask for it."""
    if PLACES not in patched.wrappers.get(WrappersMP.CALC_COND_BATCH, {}):
        wrap_model(patched, WrappersMP.CALC_COND_BATCH, PLACES, _note)


def _note(executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
    areas = {
        one["uuid"]: tuple(one["area"])
        for half in conds
        for one in half or ()
        if one.get("area") is not None and len(one["area"]) == 4 and "uuid" in one
    }
    transformer_options = {**options["transformer_options"], PLACES: (tuple(x.shape[-2:]), areas)}
    return executor(model, conds, x, timestep, {**options, "transformer_options": transformer_options}, *more)


def regions_of(options: Any, chunks: int, size: Sequence[int]) -> list[Region]:
    """The place of each part of a call.

    options   `transformer_options`
    chunks    equal parts of the batch, one per condition
    size      height and width of x
    Raises ValueError for a part that is smaller than the picture and lies nobody knows where.
    """
    height, width = size
    sampled, areas = options.get(PLACES, ((height, width), {}))
    top, left, whole = options.get(TILE, (0, 0, sampled))
    names = options.get("uuids", ())
    if len(names) != chunks:
        names = [None] * chunks
    found = []
    for name in names:
        *_, y, x = areas.get(name, (0, 0, 0, 0))
        if name not in areas and (height, width) != tuple(sampled):
            raise ValueError(
                f"a mask or a given frame: the model is called for {width}x{height} of the {sampled[1]}x{sampled[0]} latent, "
                "and nothing says where that lies (a node that samples in tiles). Take that node away, or the mask or guide."
            )
        found.append(Region(top + y, left + x, height, width, tuple(whole)))
    return found
