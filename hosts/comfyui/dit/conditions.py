"""Conditions of a video transformer in a long shot: which frame a window's prompt is chosen by, and which are refused."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import comfy.conds

from ..conditioning.per_frame import CUE

CLIP_BOUND = ("keyframe_idxs", "reference_latents", "time_dim_concat", "guide_attention_entries")
"""Keys of conditions that belong to frames of one clip: guides of LTX-Video, references of Wan."""


def first_frames(latents: Sequence[int], each: int) -> list[int]:
    """Number of the first frame of each latent; latent 0 is frame 0 alone. Negative numbers are warm-up."""
    return [1 + each * (number - 1) if number > 0 else each * number for number in latents]


def prompt_frames(frames: Sequence[int], window: int) -> list[int]:
    """The frame of each window by which its prompt is chosen: the middle one. frames: of all windows, one after another."""
    return [frames[start + window // 2] for start in range(0, len(frames), window)]


def check_conditions(conds: Mapping[str, Iterable[Mapping[str, Any]] | None]) -> None:
    """Raises ValueError for conditions that need one noise level per clip, or frames of one clip. conds: by name."""
    for name, parts in conds.items():
        for part in parts or ():
            if part.get("control") is not None:
                raise ValueError(f"{name}: a ControlNet does not work with video transformers in a long shot; remove it")
            if part.get("start_percent", 0.0) > 0 or part.get("end_percent", 1.0) < 1:
                raise ValueError(
                    f"{name}: a condition with a range of timesteps (ConditioningSetTimestepRange) needs one noise level per "
                    "clip, but the frames of a long shot have different ones; remove that node"
                )
            bound = [key for key in CLIP_BOUND if part.get(key) is not None]
            if bound:
                raise ValueError(
                    f"{name}: a condition has {bound[0]}, which belongs to frames of one clip, but a long shot has many "
                    "windows; remove the node that adds it. First frames are set in the latent"
                )


def for_windows(conds: Mapping[str, Any], window: int) -> None:
    """Changes a run's conditions, which the host prepared for the clip that it was given, to windows of `window` latents.

    Noise masks are given by the levels of the frames, and a timeline's masks, which are for ordinary samplers, by its cues.
    Pictures to be concatenated are none, as models that need them are refused.
    """
    for part in (part for parts in conds.values() for part in parts or ()):
        mask = part.get("mask")
        if CUE in part and mask is not None and bool(((mask - mask[..., :1, :1]).abs() < 1e-3).all()):
            del part["mask"]
        values = dict(part.get("model_conds", {}))
        values.pop("denoise_mask", None)
        for name, value in values.items():
            if type(value) is comfy.conds.CONDNoiseShape and value.cond.ndim == 5:
                values[name] = comfy.conds.CONDNoiseShape(
                    value.cond.new_zeros(1, *value.cond.shape[1:2], window, *value.cond.shape[3:])
                )
        part["model_conds"] = values
