"""Conditions that differ from frame to frame, in the host's own terms: prompts, ranges of noise, control pictures.

The host asks for the first frame's noise level alone, and shows every window the same rows. With `FRAMES` in the transformer's
options, a CALC_COND_BATCH wrapper gives each frame its own answer, and each condition a call of its own, so that the number of
rows per model call never depends on free memory.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.conds
import torch
from torch import Tensor

from ....sampling.timeline import Cue, mix_at
from ..call import COUNTED, FRAMES, LENGTH, levels_of, wrap_call
from ..call_guard import asking
from .concat import ConcatByFrame, Condition
from .controlnet import UnbatchedControl, per_frame_control, rows_at

CUE = "zoetrope.cue"
"""In a condition: which part of a prompt timeline it is."""

BY_FRAME = (comfy.conds.CONDRegular, comfy.conds.CONDCrossAttn)
"""Kinds of values whose rows are frames; pictures to be concatenated are made by the host for the rows of a call."""


@dataclass(frozen=True)
class TimelinePart:
    """One condition of a timeline."""

    cues: tuple[Cue, ...]
    index: int


def add_frames(model_options: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the options in which frames have their own conditions, as soon as `FRAMES` says which frames they are."""
    return wrap_call(model_options, FRAMES, _PerFrame())


class _PerFrame:
    """The wrapper of one run."""

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
            alone: list[Any] = [None] * len(conds)
            found = conditions_of(half, frames, levels, x)
            found = [self._concat.at(one, frames, length, model, x) for one in found]
            found = [self._control(one, frames, levels, model) for one in found]
            alone[index] = (
                found if len(found) == 1 else [{**one, "control": UnbatchedControl(one.get("control"))} for one in found]
            )
            with asking(transformer_options, len(found)):
                results.append(executor(model, alone, x, timestep, options, *more)[index])
        return results

    def _control(self, one: Condition, frames: Sequence[int], levels: Tensor, model: Any) -> Condition:
        control = one.get("control")
        if control is None:
            return one
        return {**one, "control": per_frame_control(control, frames, levels, model, self._controls)}


def conditions_of(half: Sequence[Condition], frames: Sequence[int], levels: Tensor, x: Tensor) -> list[Condition]:
    """The conditions that hold somewhere in these frames; where one holds in some only, a mask says so."""
    found = []
    for one in (_own_rows(one, frames) for one in _merged(half, frames)):
        start, end = one.get("timestep_start", math.inf), one.get("timestep_end", -math.inf)
        holds = (levels <= start) & (levels >= end)
        if not bool(holds.any()):
            continue
        _check_hooks(one)
        one = {name: value for name, value in one.items() if name not in ("timestep_start", "timestep_end")}
        found.append(one if bool(holds.all()) else {**one, "mask": _masked(one, holds, x)})
    return found


def _own_rows(one: Condition, frames: Sequence[int]) -> Condition:
    """Prompts and masks that came with a row per frame, cut to these frames; frames after the last row keep it."""
    changes: Condition = {}
    if one.get("mask") is not None and len(one["mask"]) > 1:
        changes["mask"] = rows_at(one["mask"], frames)
    if CUE not in one:
        holders = one["model_conds"].items()
        listed = {name: held for name, held in holders if type(held) in BY_FRAME and held.cond.ndim > 1 and len(held.cond) > 1}
        changes["model_conds"] = {
            **one["model_conds"],
            **{n: type(held)(rows_at(held.cond, frames)) for n, held in listed.items()},
        }
    return {**one, **changes}


def _masked(one: Mapping[str, Any], holds: Tensor, x: Tensor) -> Tensor:
    """The condition's mask, 0 in frames where it does not hold `(f, h, w)`."""
    mask = one.get("mask", x.new_ones(1, *x.shape[2:])).to(x)
    mask = mask[: len(x)].repeat(-(-len(x) // len(mask)), 1, 1)[: len(x)]
    return mask * holds.to(x).reshape(-1, 1, 1)


def _check_hooks(one: Mapping[str, Any]) -> None:
    for hook in getattr(one.get("hooks"), "hooks", ()):
        if len(getattr(hook.hook_keyframe, "keyframes", ())) > 1:
            raise ValueError(
                "a hook with several keyframes changes weights by noise level, and the frames of a long shot, or of a clip "
                "with given frames, have different levels in one call. Remove the keyframes (one strength for the whole "
                "sampling works)."
            )


def _merged(half: Sequence[Condition], frames: Sequence[int]) -> list[Condition]:
    """The parts of each timeline as one condition with a row per frame; other conditions as they are."""
    timelines: list[dict[int, Condition]] = []  # one timeline may come several times, in other areas or with other controls
    found: list[Condition] = []
    for one in half:
        if CUE not in one:
            found.append(one)
            continue
        part = one[CUE]
        open_ones = (group for group in timelines if part.index not in group and _cues_of(group) == part.cues)
        group = next(open_ones, None)
        if group is None:
            timelines.append(group := {})
        group[part.index] = one
    return found + [_row_per_frame(group, frames) for group in timelines]


def _cues_of(parts: Mapping[int, Condition]) -> tuple[Cue, ...]:
    return next(iter(parts.values()))[CUE].cues


def _row_per_frame(by_index: Mapping[int, Condition], frames: Sequence[int]) -> Condition:
    cues = _cues_of(by_index)
    if len(by_index) != len(cues):
        raise ValueError(
            f"a prompt timeline of {len(cues)} entries came with {len(by_index)} of its conditions; connect the output of "
            "Prompt Timeline whole (nodes that take single conditions out of it break it)"
        )
    mixes = [mix_at(cues, frame) for frame in frames]
    holding = by_index[max(mixes, key=lambda mix: mix[2])[1]]
    needed = {index for before, now, share in mixes for index in ((before, now) if share < 1 else (now,))}
    values = holding["model_conds"]
    if len(needed) > 1:
        values = {name: _mixed(name, {i: by_index[i]["model_conds"] for i in needed}, mixes) for name in values}
    one = {**holding, "model_conds": values}
    mask = one.get("mask")
    if mask is not None and bool(((mask - mask[:, :1, :1]).abs() < 1e-3).all()):  # the timeline's own, for ordinary samplers
        del one["mask"]
    return one


def _mixed(name: str, by_index: Mapping[int, Mapping[str, Any]], mixes: Sequence[tuple[int, int, float]]) -> Any:
    """One value of the model's conditions with a row per frame; the host's holder of it stays what it is."""
    holders = {index: conds[name] for index, conds in by_index.items()}
    any_holder = next(iter(holders.values()))
    tensors: dict[int, Any] = {index: getattr(holder, "cond", None) for index, holder in holders.items()}
    if not all(isinstance(value, Tensor) and value.is_floating_point() for value in tensors.values()):
        return any_holder
    if name == "c_crossattn":  # prompts of different length: attention to a token twice is attention to it
        length = math.lcm(*(value.shape[1] for value in tensors.values()))
        tensors = {index: value.repeat(1, length // value.shape[1], 1) for index, value in tensors.items()}
    rows = [
        tensors[now][:1] if share == 1 else torch.lerp(tensors[before][:1], tensors[now][:1], share)
        for before, now, share in mixes
    ]
    return type(any_holder)(torch.cat(rows))
