"""ControlNet hints of a video of any length, of which only the frames in flight are in memory."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor


class HintFrames:
    """Pictures by absolute frame number, in place of a ControlNet's `cond_hint_original`; 8 bits per value.

    Numbers after the end of a scene, which padding has, get the reflected frames.
    """

    def __init__(self) -> None:
        self._pictures: dict[int, Tensor] = {}
        self._end: int | None = None

    def add(self, number: int, picture: Tensor) -> None:
        """Stores the picture `(3, h, w)` in [0, 1] of a frame; a later scene begins with it where one has ended."""
        self._end = None
        self._pictures[number] = (picture.clamp(0, 1) * 255).round().to("cpu", torch.uint8)

    def end_at(self, end: int) -> None:
        """Ends a scene before frame `end`."""
        self._end = end

    def discard_before(self, number: int) -> None:
        for old in [known for known in self._pictures if known < number]:
            del self._pictures[old]

    def at(self, numbers: Iterable[int]) -> Tensor:
        """Pictures `(f, 3, h, w)` of these frames."""
        end = self._end
        inside = [number if end is None or number < end else 2 * (end - 1) - number for number in numbers]
        return torch.stack([self._pictures[number] for number in inside]).float() / 255

    def __len__(self) -> int:
        return 2  # a picture per frame, not one for all


def with_hints(conditioning: Sequence[Any], hints: HintFrames, needed: bool = True) -> list[Any]:
    """The conditioning with these pictures in each of its ControlNets.

    needed   whether to raise ValueError without a ControlNet
    Raises ValueError for several ControlNets in a chain, whose pictures differ.
    """
    found = [one["control"] for _, one in conditioning if one.get("control") is not None]
    if needed and not found:
        raise ValueError(
            "hints: the positive prompt has no ControlNet; connect Apply ControlNet, with any picture as its image"
        )
    if any(control.previous_controlnet is not None for control in found):
        raise ValueError(
            "hints: expected one ControlNet, got several in a chain, and each needs a video of its own. Remove all but one, or "
            "choose 'as connected' and connect the pictures of the whole clip to Apply ControlNet."
        )
    return [[words, _replaced(one, hints)] for words, one in conditioning]


def _replaced(condition: dict[str, Any], hints: HintFrames) -> dict[str, Any]:
    if condition.get("control") is None:
        return condition
    control = condition["control"].copy()
    control.cond_hint_original = hints
    return {**condition, "control": control}
