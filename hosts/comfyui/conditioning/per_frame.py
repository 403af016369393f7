"""Conditions per frame, for the host's samplers: prompts, ranges of noise levels, masks, ControlNet hints.

The host compares only the first row's noise level with a condition's range, and gives every window the same rows. With `FRAMES`
in `transformer_options`, a CALC_COND_BATCH wrapper selects the rows of each frame, and calls the model once per condition, so
that the number of rows per call does not depend on free memory.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ....models.layers.strength import rows_at
from ....sampling.timeline import Cue, mix_at
from ..call import COUNTED, FRAMES, LENGTH, levels_of, wrap_call
from ..call_guard import checked_call
from .concat import ConcatByFrame, Condition
from .controlnet import UnbatchedControl, per_frame_control

CUE = "zoetrope.cue"
"""Key of a condition: its part of a prompt timeline (`TimelinePart`)."""

BY_FRAME = (comfy.conds.CONDRegular, comfy.conds.CONDCrossAttn)
"""Classes of values whose rows are frames; pictures to be concatenated are in concat.py."""


@dataclass(frozen=True)
class TimelinePart:
    """One condition of a prompt timeline: all cues, and the index of its own."""

    cues: tuple[Cue, ...]
    index: int


def add_frames(model_options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a run's options with conditions per frame, for calls that have `FRAMES`."""
    return wrap_call(model_options, FRAMES, _PerFrame())


class _PerFrame:
    """The CALC_COND_BATCH wrapper of one run."""

    def __init__(self) -> None:
        self._controls: dict[int, Any] = {}
        self._concat = ConcatByFrame()

    def __call__(self, executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
        transformer_options = options.get("transformer_options", {})
        frames = transformer_options.get(FRAMES)
        if frames is None:
            return executor(model, conds, x, timestep, options, *more)
        levels = levels_of(timestep, x)
        length = len(x) if transformer_options.get(COUNTED) else transformer_options.get(LENGTH)
        results = []
        for index, half in enumerate(conds):
            if half is None:
                results.append(torch.zeros_like(x))
                continue
            conditions = []
            for condition in conditions_of(half, frames, levels, x):
                condition = self._concat.at(condition, frames, length, model, x)
                conditions.append(self._control(condition, frames, levels, model))
            if len(conditions) != 1:
                conditions = [{**one, "control": UnbatchedControl(one.get("control"))} for one in conditions]
            only_this: list[Any] = [None] * len(conds)
            only_this[index] = conditions
            with checked_call(transformer_options, len(conditions)):
                results.append(executor(model, only_this, x, timestep, options, *more)[index])
        return results

    def _control(self, condition: Condition, frames: Sequence[int], levels: Tensor, model: Any) -> Condition:
        control = condition.get("control")
        if control is None:
            return condition
        return {**condition, "control": per_frame_control(control, frames, levels, model, self._controls)}


def conditions_of(half: Sequence[Condition], frames: Sequence[int], levels: Tensor, x: Tensor) -> list[Condition]:
    """Conditions that are active in some of these frames, with rows per frame; a mask excludes the other frames.

    levels   noise level of each frame `(f,)`
    """
    active = []
    for condition in _merged(half, frames):
        condition = _select_rows(condition, frames)
        start, end = condition.get("timestep_start", math.inf), condition.get("timestep_end", -math.inf)
        within = (levels <= start) & (levels >= end)
        if not bool(within.any()):
            continue
        _check_hooks(condition)
        condition = {name: value for name, value in condition.items() if name not in ("timestep_start", "timestep_end")}
        active.append(condition if bool(within.all()) else {**condition, "mask": _masked(condition, within, x)})
    return active


def _select_rows(condition: Condition, frames: Sequence[int]) -> Condition:
    """The condition with the rows of these frames in prompts and masks of a row per frame; the last row is repeated."""
    changes: Condition = {}
    if condition.get("mask") is not None and len(condition["mask"]) > 1:
        changes["mask"] = rows_at(condition["mask"], frames)
    if CUE not in condition:
        values = dict(condition["model_conds"])
        for name, value in values.items():
            if type(value) in BY_FRAME and value.cond.ndim > 1 and len(value.cond) > 1:
                values[name] = type(value)(rows_at(value.cond, frames))
        changes["model_conds"] = values
    return {**condition, **changes}


def _masked(condition: Mapping[str, Any], within: Tensor, x: Tensor) -> Tensor:
    """The condition's mask `(f, h, w)`, 0 in frames whose noise level is outside its range."""
    mask = condition.get("mask", x.new_ones(1, *x.shape[2:])).to(x)
    mask = mask[: len(x)].repeat(-(-len(x) // len(mask)), 1, 1)[: len(x)]
    return mask * within.to(x).reshape(-1, 1, 1)


def _check_hooks(condition: Mapping[str, Any]) -> None:
    for hook in getattr(condition.get("hooks"), "hooks", ()):
        if len(getattr(hook.hook_keyframe, "keyframes", ())) > 1:
            raise ValueError(
                "a hook with several keyframes changes weights by noise level, and the frames of a long shot, or of a clip "
                "with given frames, have different levels in one call. Remove the keyframes (a constant strength works)."
            )


def _merged(half: Sequence[Condition], frames: Sequence[int]) -> list[Condition]:
    """The parts of each timeline as one condition with a row per frame; other conditions as they are."""
    timelines: list[dict[int, Condition]] = []  # a timeline may occur several times, in other areas or with other controls
    others: list[Condition] = []
    for condition in half:
        if CUE not in condition:
            others.append(condition)
            continue
        part = condition[CUE]
        incomplete = (group for group in timelines if part.index not in group and _cues_of(group) == part.cues)
        group = next(incomplete, None)
        if group is None:
            timelines.append(group := {})
        group[part.index] = condition
    return others + [_row_per_frame(group, frames) for group in timelines]


def _cues_of(parts: Mapping[int, Condition]) -> tuple[Cue, ...]:
    return next(iter(parts.values()))[CUE].cues


def _row_per_frame(by_index: Mapping[int, Condition], frames: Sequence[int]) -> Condition:
    cues = _cues_of(by_index)
    if len(by_index) != len(cues):
        raise ValueError(
            f"a prompt timeline of {len(cues)} entries came with {len(by_index)} of its conditions; connect the full output of "
            "Prompt Timeline (nodes that remove single conditions break it)"
        )
    mixes = [mix_at(cues, frame) for frame in frames]
    strongest = by_index[max(mixes, key=lambda mix: mix[2])[1]]
    needed = {index for before, now, share in mixes for index in ((before, now) if share < 1 else (now,))}
    values = strongest["model_conds"]
    if len(needed) > 1:
        values = {name: _mixed(name, {i: by_index[i]["model_conds"] for i in needed}, mixes) for name in values}
    merged = {**strongest, "model_conds": values}
    mask = merged.get("mask")
    if mask is not None and bool(((mask - mask[:, :1, :1]).abs() < 1e-3).all()):  # the timeline's mask for ordinary samplers
        del merged["mask"]
    return merged


def _mixed(name: str, by_index: Mapping[int, Mapping[str, Any]], mixes: Sequence[tuple[int, int, float]]) -> Any:
    """One value of the model's conditions with a row per frame, in the host's class of that value."""
    holders = {index: conds[name] for index, conds in by_index.items()}
    any_holder = next(iter(holders.values()))
    tensors: dict[int, Any] = {index: getattr(holder, "cond", None) for index, holder in holders.items()}
    if not all(isinstance(value, Tensor) and value.is_floating_point() for value in tensors.values()):
        return any_holder
    if name == "c_crossattn":  # prompts of different length: repeating all tokens does not change attention
        length = math.lcm(*(value.shape[1] for value in tensors.values()))
        tensors = {index: value.repeat(1, length // value.shape[1], 1) for index, value in tensors.items()}
    rows = [
        tensors[now][:1] if share == 1 else torch.lerp(tensors[before][:1], tensors[now][:1], share)
        for before, now, share in mixes
    ]
    return type(any_holder)(torch.cat(rows))
