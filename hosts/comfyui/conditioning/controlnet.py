"""ControlNets whose pictures belong to frames and whose ranges count per frame.

The host starts every window at a hint's first picture, and asks for the first frame's noise level alone.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

Outputs = dict[str, list[Tensor | None]]


def rows_at(rows: Tensor, frames: Sequence[int]) -> Tensor:
    """The rows of these frames; the warm-up has the first one, and frames after the last keep it."""
    return rows[[min(max(frame, 0), len(rows) - 1) for frame in frames]]


def per_frame_control(control: Any, frames: Sequence[int], levels: Tensor, model: Any, copies: dict[int, Any]) -> Any:
    """The control itself where every frame gets the same of it, else one that knows the frames. Same interface to the host.

    copies   of controls, by the control's id, kept for a run so that networks and single pictures are prepared once
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
    if getattr(link, "places_frames", False):  # ours: it is told the frames
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
    """Keeps a condition in a call of its own: the host puts conditions together only where they share a control object."""

    def __init__(self, control: Any):
        self._control = control

    def __getattr__(self, name: str) -> Any:
        return getattr(self._control, name)

    def get_control(self, *args: Any) -> Any:
        return None if self._control is None else self._control.get_control(*args)


class _FrameControl:
    """Stands for a chain of controls during one call of the model."""

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
            out = self._alone(link).get_control(x, t, cond, batched, *more)
            if out is not None:
                shown = within.to(x).repeat(batched)
                total = _added(total, {place: [_times(one, shown) for one in outputs] for place, outputs in out.items()})
        return total

    def _alone(self, link: Any) -> Any:
        """A copy without the links before it, with the frames' own pictures, in use at every noise level."""
        if id(link) not in self._copies:  # making one may load a network
            alone = self._copies[id(link)] = link.copy()
            alone.pre_run(self._model, self._model.model_sampling.percent_to_sigma)
            alone.timestep_range = None
        alone = self._copies[id(link)]
        if _hints(link) > 1:
            alone.cond_hint_original = rows_at(link.cond_hint_original, self._frames)
            alone.cond_hint = None  # what it has prepared is of other frames
            if hasattr(alone, "control_input"):
                alone.control_input = None
        return alone


def _times(one: Tensor | None, shown: Tensor) -> Tensor | None:
    return None if one is None else one * shown.to(one).reshape(-1, 1, 1, 1)


def _added(before: Outputs | None, more: Outputs) -> Outputs:
    """Outputs of two controls, place by place."""
    if before is None:
        return more
    total: Outputs = {}
    for place in {**before, **more}:
        a, b = list(before.get(place, ())), list(more.get(place, ()))
        length = max(len(a), len(b))
        pairs = zip(a + [None] * (length - len(a)), b + [None] * (length - len(b)), strict=True)
        total[place] = [one if two is None else two if one is None else one + two for one, two in pairs]
    return total
