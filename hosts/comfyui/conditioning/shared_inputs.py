"""Inputs of attention across frames: which frames a call has, and where frame 0 of its clip is."""

import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ....models.edits.frame_table import FrameTable
from ....models.edits.shared_attention import FirstFrame, Part, SharedInputs
from ....models.edits.temporal import frames_per_clip
from ....models.layers.strength import Strength, for_rows, is_zero
from ..call import COUNTED, FRAMES, clip_frames, numbering, window_of
from ..regions import regions_of

GUIDANCE_NODES = ("pag", "sag", "perturb", "slg", "seg")
"""In names of modules and functions that replace an attention to guide by it; they expect a frame's own keys and values."""


def guides_by_attention(options: Mapping[str, Any]) -> bool:
    """Whether a node of the kind of PAG and SAG has put a function in place of self-attentions."""
    replaced = options.get("patches_replace", {}).get("attn1", {}).values()
    names = [f"{getattr(one, '__module__', '')}.{getattr(one, '__qualname__', type(one).__name__)}".lower() for one in replaced]
    return any(part in re.split(r"[^a-z]+", name) or f"nodes_{part}" in name for name in names for part in GUIDANCE_NODES)


class FirstFrameStore:
    """Keys and values of frame 0 at one noise level."""

    def __init__(self) -> None:
        self._stored: dict[Hashable, Tensor] = {}
        self._level: float | None = None

    def at(self, options: Mapping[str, Any]) -> dict[Hashable, Tensor]:
        """Those of the call's noise level; others are discarded."""
        sigma = options.get("sigmas")
        level = None if sigma is None else float(sigma.flatten()[0])
        if level != self._level:
            self.clear()
            self._level = level
        return self._stored

    def clear(self) -> None:
        self._stored.clear()


def shared_inputs(
    own: Mapping[str, Any],
    options: Mapping[str, Any],
    x: Tensor,
    parts: Sequence[Part],
    active: Strength,
    store: FirstFrameStore,
) -> SharedInputs | None:
    """Inputs for a batch x `(b f) c h w` of one part per conditioning; None where nothing is to be done.

    own      settings, as `apply_shared` puts them into the options
    active   1, 0, or one of them per frame
    Raises ValueError in a long shot, for tables that need frames which the queue has not.
    """
    if not own or is_zero(own["strength"]) or is_zero(active):
        return None
    table: FrameTable = own["table"]
    part = frames_per_clip(x.shape[0], len(parts), 0)
    windowed = bool(window_of(options)) or FRAMES in options and not options.get(COUNTED)
    numbers, length = numbering(options, part)
    if windowed and length is None and FRAMES in options and not table.works_in_a_queue:
        raise ValueError(
            f"Look Across Frames: {table.pattern!r} does not work in a long shot (FIFO) or in Restyle Video, because earlier "
            "frames are no longer in memory. Choose the previous frame or random groups."
        )
    clip = part if windowed else clip_frames(options, part)
    first = None
    if table.needs_frame_0 and windowed:
        position = numbers.index(0) if 0 in numbers else None
        first = FirstFrame(store.at(options), tuple(parts), position)
    strength = _strength(own["strength"], options, x, clip, len(parts)) * (
        for_rows("range", active, x.shape[0], clip, len(parts)) if isinstance(active, Tensor) else active
    )
    size = (x.shape[-2], x.shape[-1])
    rows = table.of(numbers[:clip], _step_of(options))
    return SharedInputs(rows, x.shape[0], strength, size, own["levels"], first, not guides_by_attention(options))


def _strength(strength: Strength, options: Mapping[str, Any], x: Tensor, clip: int, chunks: int) -> Strength:
    """One value or mask per row, cut to the area of each conditioning."""
    strength = for_rows("strength", strength, x.shape[0], clip, chunks, window_of(options) or options.get(FRAMES))
    if not isinstance(strength, Tensor) or strength.shape[1:] == (1, 1):
        return strength
    regions = regions_of(options, chunks, x.shape[-2:])
    return torch.cat([region.cut(rows) for region, rows in zip(regions, strength.chunk(chunks), strict=True)])


def parts_of(options: Mapping[str, Any], chunks: int) -> list[Part]:
    """Names of the conditionings of a call: the host's id, and which one it is of the guider's.

    A prompt timeline has another id in each window, so the second name is tried where the first is unknown.
    """
    kinds = list(options.get("cond_or_uncond", range(chunks)))
    ids = options.get("uuids", ())
    counted = [(kind, kinds[:index].count(kind)) for index, kind in enumerate(kinds)]
    return (
        [(one, count) for one, count in zip(ids, counted, strict=True)] if len(ids) == len(counted) else [(c,) for c in counted]
    )


def _step_of(options: Mapping[str, Any]) -> int:
    """Number of the step by the noise level; changes the random groups."""
    sigmas, sigma = options.get("sample_sigmas"), options.get("sigmas")
    if sigmas is None or sigma is None:
        return 0
    return int((sigmas.to(sigma.device) - sigma.flatten()[0]).abs().argmin())
