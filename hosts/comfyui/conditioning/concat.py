"""Pictures that are concatenated to the noisy latent (inpainting, InstructPix2Pix, depth), by absolute frame.

The host encodes them for the rows of a run's first noise, resampled to their number. In a long shot those rows are a window and
are not tied to frames, so they are encoded again from the condition's pictures, one row per picture.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.conds
import comfy.samplers
from torch import Tensor

from ....models.layers.strength import rows_at

Condition = dict[str, Any]

PICTURES = ("concat_latent_image", "concat_mask", "concat_image", "noise_concat")
"""Keys of a condition in which core's nodes store pictures to be concatenated."""


class ConcatByFrame:
    """Selects the rows of conditions of noise shape for the frames of a call; caches encoded pictures during a run."""

    def __init__(self) -> None:
        self._encoded: dict[Any, tuple[list[Tensor], Mapping[str, Any]]] = {}
        self._constant: dict[int, tuple[Tensor, bool]] = {}

    def at(self, condition: Condition, frames: Sequence[int], length: int | None, model: Any, x: Tensor) -> Condition:
        """The condition with a row per frame of the call.

        frames   absolute numbers of the rows of x
        length   frames of the clip that the host prepared the condition for; None in a shot without an end
        Raises ValueError for rows that belong to unknown frames.
        """
        selected = {}
        for name, value in condition["model_conds"].items():
            if type(value) is comfy.conds.CONDNoiseShape and len(value.cond) > 1:
                selected[name] = self._rows(name, value, condition, frames, length, model, x)
        return {**condition, "model_conds": {**condition["model_conds"], **selected}} if selected else condition

    def _rows(
        self, name: str, value: Any, condition: Condition, frames: Sequence[int], length: int | None, model: Any, x: Tensor
    ) -> Any:  # fmt: skip
        holder = type(value)
        if len(value.cond) == length:
            return holder(rows_at(value.cond, frames))
        if self._is_constant(value.cond):
            return holder(value.cond[:1])
        encoded = self._by_picture(condition, model, x).get(name)
        if encoded is None:
            raise ValueError(
                f"a condition has {len(value.cond)} rows of {name} for unknown frames. A long shot takes one picture for all "
                "frames, or core's InpaintModelConditioning and InstructPixToPixConditioning with a picture per frame; connect "
                "one of these."
            )
        return holder(rows_at(encoded.cond, frames))

    def _is_constant(self, rows: Tensor) -> bool:
        """Whether all rows are equal; compared once per tensor, because it synchronises a GPU."""
        if id(rows) not in self._constant:
            self._constant[id(rows)] = (rows, bool((rows == rows[:1]).all()))
        return self._constant[id(rows)][1]

    def _by_picture(self, condition: Condition, model: Any, x: Tensor) -> Mapping[str, Any]:
        """The model's conditions with a row for each of the condition's pictures; empty where it has fewer than two."""
        pictures = [condition[name] for name in PICTURES if isinstance(condition.get(name), Tensor)]
        count = max((len(picture) for picture in pictures), default=0)
        if count < 2:
            return {}
        key = (tuple(map(id, pictures)), tuple(x.shape[1:]))
        if key not in self._encoded:
            noise = x.new_zeros(1, *x.shape[1:]).expand(count, *x.shape[1:])
            empty = {**condition, "model_conds": {}}
            (encoded,) = comfy.samplers.encode_model_conds(model.extra_conds, [empty], noise, x.device, "")
            self._encoded[key] = (pictures, encoded["model_conds"])
        return self._encoded[key][1]
