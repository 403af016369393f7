"""Pictures that the model reads beside the noisy latent (inpainting, InstructPix2Pix, depth), by absolute frame.

The host makes them for the rows of the noise that a run begins with, thinned out or repeated. In a long shot those rows are a
window's and say nothing about frames, so they are made again from the condition's own pictures, a row for each.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import comfy.conds
import comfy.samplers
from torch import Tensor

from ....models.layers.strength import rows_at

Condition = dict[str, Any]

PICTURES = ("concat_latent_image", "concat_mask", "concat_image", "noise_concat")
"""Names in a condition under which core's nodes leave pictures to be concatenated."""


class ConcatByFrame:
    """Cuts conditions of noise shape to the frames of a call; what was encoded once is kept for a run."""

    def __init__(self) -> None:
        self._encoded: dict[Any, tuple[list[Tensor], Mapping[str, Any]]] = {}
        self._alike: dict[int, tuple[Tensor, bool]] = {}

    def at(self, one: Condition, frames: Sequence[int], length: int | None, model: Any, x: Tensor) -> Condition:
        """The condition with a row per frame of the call.

        frames   absolute numbers of the rows of x
        length   frames of the clip that the host prepared the condition for; None in a shot without an end
        Raises ValueError for rows that nothing ties to frames.
        """
        held = {name: value for name, value in one["model_conds"].items() if type(value) is comfy.conds.CONDNoiseShape}
        listed = {name: value for name, value in held.items() if len(value.cond) > 1}
        if not listed:
            return one
        cut = {name: self._rows(name, value, one, frames, length, model, x) for name, value in listed.items()}
        return {**one, "model_conds": {**one["model_conds"], **cut}}

    def _rows(
        self, name: str, value: Any, one: Condition, frames: Sequence[int], length: int | None, model: Any, x: Tensor
    ) -> Any:  # fmt: skip
        made_for = type(value)
        if len(value.cond) == length:
            return made_for(rows_at(value.cond, frames))
        if self._is_alike(value.cond):
            return made_for(value.cond[:1])
        encoded = self._by_picture(one, model, x).get(name)
        if encoded is None:
            raise ValueError(
                f"a condition holds {len(value.cond)} rows of {name} and does not say which frames they belong to. A long shot "
                "takes one picture for all frames, or core's InpaintModelConditioning and InstructPixToPixConditioning with a "
                "picture per frame; connect one of these."
            )
        return made_for(rows_at(encoded.cond, frames))

    def _is_alike(self, rows: Tensor) -> bool:
        """Whether all rows are the same; compared once, as a GPU has to be waited for."""
        if id(rows) not in self._alike:
            self._alike[id(rows)] = (rows, bool((rows == rows[:1]).all()))
        return self._alike[id(rows)][1]

    def _by_picture(self, one: Condition, model: Any, x: Tensor) -> Mapping[str, Any]:
        """The model's conditions with a row for each picture that the condition came with."""
        pictures = [one[name] for name in PICTURES if isinstance(one.get(name), Tensor)]
        count = max((len(picture) for picture in pictures), default=0)
        if count < 2:
            return {}
        key = (tuple(map(id, pictures)), tuple(x.shape[1:]))
        if key not in self._encoded:
            noise = x.new_zeros(1, *x.shape[1:]).expand(count, *x.shape[1:])
            (made,) = comfy.samplers.encode_model_conds(model.extra_conds, [{**one, "model_conds": {}}], noise, x.device, "")
            self._encoded[key] = (pictures, made["model_conds"])
        return self._encoded[key][1]
