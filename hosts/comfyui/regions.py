"""Region of the latent that each part of a UNet call covers: areas of conditions, and tiles.

Masks and given frames are defined over the full latent, so they are cropped to the region. The host passes the ids of a call's
conditions but not their areas, so a wrapper records these.
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
    """A rectangle of the full latent."""

    top: int
    left: int
    height: int
    width: int
    whole: tuple[int, int]
    """Height and width of the full latent."""

    @property
    def is_whole(self) -> bool:
        return (self.height, self.width) == self.whole

    def cut(self, pictures: Tensor) -> Tensor:
        """Crops pictures `... h w` of the full latent, at any scale, to `... height width`; `... 1 1` is returned as it is."""
        if pictures.shape[-2:] == (1, 1) or self.is_whole:
            return pictures
        full = resized(pictures, *self.whole)
        return full[..., self.top : self.top + self.height, self.left : self.left + self.width]


def record_regions(patched: Any) -> None:
    """Adds a wrapper to a MODEL that records the areas of conditions at each call; once, however many edits need it."""
    if PLACES not in patched.wrappers.get(WrappersMP.CALC_COND_BATCH, {}):
        wrap_model(patched, WrappersMP.CALC_COND_BATCH, PLACES, _record_areas)


def _record_areas(executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
    """A CALC_COND_BATCH wrapper."""
    areas: dict[Any, tuple[int, ...]] = {}
    for condition in (condition for half in conds for condition in half or ()):
        area = condition.get("area")
        if area is not None and len(area) == 4 and "uuid" in condition:
            areas[condition["uuid"]] = tuple(area)
    transformer_options = {**options["transformer_options"], PLACES: (tuple(x.shape[-2:]), areas)}
    return executor(model, conds, x, timestep, {**options, "transformer_options": transformer_options}, *more)


def regions_of(options: Any, chunks: int, size: Sequence[int]) -> list[Region]:
    """Regions of the parts of a call.

    options   `transformer_options`
    chunks    equal parts of the batch, one per condition
    size      height and width of x
    Raises ValueError for a part that is smaller than the sampled latent and has no known position.
    """
    height, width = size
    sampled, areas = options.get(PLACES, ((height, width), {}))
    top, left, whole = options.get(TILE, (0, 0, sampled))
    names = options.get("uuids", ())
    if len(names) != chunks:
        names = [None] * chunks
    regions = []
    for name in names:
        *_, y, x = areas.get(name, (0, 0, 0, 0))
        if name not in areas and (height, width) != tuple(sampled):
            raise ValueError(
                f"a mask or a given frame: the model is called for {width}x{height} of the {sampled[1]}x{sampled[0]} latent, "
                "at an unknown position (a node that samples in tiles). Remove that node, or the mask or guide."
            )
        regions.append(Region(top + y, left + x, height, width, tuple(whole)))
    return regions
