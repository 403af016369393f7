"""ControlNets with a hint per absolute frame, and with a range of noise levels that is applied per frame.

The host begins every window at the first picture of a hint, and compares only the first row's noise level with the range.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ....models.layers.strength import rows_at
from .hints import HintFrames

Outputs = dict[str, list[Tensor | None]]


def per_frame_control(control: Any, frames: Sequence[int], levels: Tensor, model: Any, copies: dict[int, Any]) -> Any:
    """The control itself where all frames get the same output, else a wrapper with its interface that selects rows by frame.

    levels   noise level of each frame `(f,)`
    copies   cache of copied controls by id, for a run, so that networks and single pictures are prepared once
    """
    links = _chain(control)
    same = all(_hints(link) == 1 and bool(_within(link, levels).all()) for link in links)
    return control if same else _FrameControl(control, links, frames, levels, model, copies)


def _chain(control: Any) -> list[Any]:
    links = []
    while control is not None:
        links.append(control)
        control = control.previous_controlnet
    return links


def _hints(link: Any) -> int:
    if getattr(link, "places_frames", False):  # SparseCtrl selects its pictures by frame number itself
        return 1
    hint = getattr(link, "cond_hint_original", None)
    return 1 if hint is None else len(hint)


def _within(link: Any, levels: Tensor) -> Tensor:
    """Which frames `(f,)` are in the control's range of noise."""
    if link.timestep_range is None:
        return torch.ones_like(levels, dtype=torch.bool)
    first, last = link.timestep_range
    return (levels <= first) & (levels >= last)


class UnbatchedControl:
    """Keeps a condition out of batches: the host batches conditions only where they share a control object."""

    def __init__(self, control: Any):
        self._control = control

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def get_control(self, *args: Any) -> Any:
        return None if self._control is None else self._control.get_control(*args)


class _FrameControl:
    """A chain of controls during one call of the model, with hints and ranges applied per frame."""

    def __init__(
        self, control: Any, links: Sequence[Any], frames: Sequence[int], levels: Tensor, model: Any, copies: dict[int, Any]
    ):
        self._control, self._links, self._frames, self._levels = control, links, frames, levels
        self._model, self._copies = model, copies

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def get_control(self, x: Tensor, t: Tensor, cond: Any, batched: int, *more: Any) -> Outputs | None:
        total: Outputs | None = None
        for link in reversed(self._links):
            within = _within(link, self._levels)
            if not bool(within.any()):
                continue
            out = self._separate(link).get_control(x, t, cond, batched, *more)
            if out is not None:
                weights = within.to(x).repeat(batched)
                total = _added(total, {place: [_times(one, weights) for one in outputs] for place, outputs in out.items()})
        return total

    def _separate(self, link: Any) -> Any:
        """A copy of a link without the previous ones, with the hints of these frames, active at every noise level."""
        if id(link) not in self._copies:  # a copy may load a network
            separate = self._copies[id(link)] = link.copy()
            separate.pre_run(self._model, self._model.model_sampling.percent_to_sigma)
            separate.timestep_range = None
        separate = self._copies[id(link)]
        if _hints(link) > 1:
            hint = link.cond_hint_original
            separate.cond_hint_original = hint.at(self._frames) if isinstance(hint, HintFrames) else rows_at(hint, self._frames)
            separate.cond_hint = None  # the prepared hint is for other frames
            if hasattr(separate, "control_input"):
                separate.control_input = None
        return separate


def _times(output: Tensor | None, weights: Tensor) -> Tensor | None:
    return None if output is None else output * weights.to(output).reshape(-1, 1, 1, 1)


def _added(before: Outputs | None, more: Outputs) -> Outputs:
    """Sum of the outputs of two controls at each place."""
    if before is None:
        return more
    total: Outputs = {}
    for place in {**before, **more}:
        a, b = list(before.get(place, ())), list(more.get(place, ()))
        length = max(len(a), len(b))
        pairs = zip(a + [None] * (length - len(a)), b + [None] * (length - len(b)), strict=True)
        total[place] = [one if two is None else two if one is None else one + two for one, two in pairs]
    return total
