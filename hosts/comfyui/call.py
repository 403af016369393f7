"""A call of the model: option keys of the pack, the order of its wrappers, frame numbers and noise levels of the rows."""

from collections.abc import Callable, Mapping
from typing import Any

import comfy.ldm.modules.attention as comfy_attention
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ...models.layers.attention import AttentionFunction

WINDOWS = "zoetrope.windows"
"""In `transformer_options`: window length in frames, where the model is called for a window of the clip at a time."""
MOTION = "zoetrope.motion"
"""In `transformer_options`: options of a motion module; `.` and a number follow."""
IMAGE_PROMPT = "zoetrope.picture"
"""In `transformer_options`: options of an image prompt; `.` and a number follow."""
GUIDE = "zoetrope.guide"
"""In `transformer_options`: given frames; `.` and a number follow."""
FRAMES = "zoetrope.frames"
"""In `transformer_options`: absolute frame number of each row of x."""
UPSCALE = "zoetrope.small"
"""In `transformer_options`: (noisy small pictures of the rows of a call, their noise level), input of the x4 upscaler."""
LENGTH = "zoetrope.length"
"""In `transformer_options`, beside `FRAMES`: number of frames of the clip; absent in a shot without an end."""
COUNTED = "zoetrope.counted"
"""In `transformer_options`, beside `FRAMES`: the frame numbers are row indices of a batch."""
CLIP = "zoetrope.clip"
"""In `transformer_options`, beside `FRAMES`: frames per window, where a call has several windows."""
LEVELS = "zoetrope.levels"
"""In `transformer_options`: the sampler's noise levels of the rows, where given frames are processed at other levels."""
PLACES = "zoetrope.places"
"""In `transformer_options`: ((height, width) of the sampled latent, areas of conditions by their id)."""
TILE = "zoetrope.tile"
"""In `transformer_options`: (top, left, (height, width) of the full latent) of a tile."""
CALL_STATES = "zoetrope.memories"
"""In `transformer_options`: state of other nodes, separate for each window (`run_state.CallStates`)."""
LORA = "zoetrope.lora"
"""In `transformer_options`: LoRAs with a strength by frame; a number follows."""
SHARED = "zoetrope.shared"
"""In `transformer_options`: settings of attention across frames; a number follows."""
CONTROL = "zoetrope.control"
"""Wrapper that gives the edits in ControlNets their inputs; a number follows."""
MERGED = "zoetrope.merged"
"""In `transformer_options`: settings of tokens merged across frames; a number follows."""
FLOW = "zoetrope.flow"
"""In `transformer_options`: optical flow of a source video, and where predictions follow it; a number follows."""
INTERVAL = "zoetrope.interval"
"""In `transformer_options`: (start, end) of guidance as shares of the sampling."""
GUARD = "zoetrope.watch"
"""In `transformer_options`: counter of model calls and runs (`call_guard.CallGuard`)."""

OTHERS = "*"
"""Stands for wrappers of other packs in `ORDER`."""
ORDER = (WINDOWS, FLOW, INTERVAL, OTHERS, MOTION, LORA, SHARED, MERGED, IMAGE_PROMPT, GUIDE, FRAMES, PLACES, CONTROL, UPSCALE)
"""Keys of the pack's wrappers from the outermost to the innermost, the same for every kind of wrapper.

A clip is cut into windows first; guidance is limited per window; given frames replace rows before each frame gets its
conditioning; small pictures are added to the rows that remain.
"""

OURS = "zoetrope."
"""Prefix of the pack's keys."""

Wrapper = Callable[..., Any]


def is_ours(key: Any) -> bool:
    """Whether a key of options or wrappers belongs to the pack."""
    return str(key).startswith(OURS)


def wrapper_order(key: str) -> tuple[int, int]:
    """Sort key of a wrapper: its index in `ORDER`, and its number among several of one kind."""
    for position, name in enumerate(ORDER):
        if key == name or key.startswith(f"{name}."):
            number = key[len(name) + 1 :]
            return position, int(number) if number.isdecimal() else 0
    return ORDER.index(OTHERS), 0


def wrap_model(patched: Any, kind: str, key: str, wrapper: Wrapper) -> None:
    """Adds a wrapper to a MODEL and sorts the wrappers of that kind by `ORDER`."""
    patched.add_wrapper_with_key(kind, key, wrapper)
    patched.wrappers[kind] = _in_order(patched.wrappers[kind])


def wrap_call(model_options: Mapping[str, Any], key: str, wrapper: Wrapper) -> dict[str, Any]:
    """A copy of a run's options with a CALC_COND_BATCH wrapper, sorted by `ORDER`; an existing wrapper of that key is kept."""
    kind = WrappersMP.CALC_COND_BATCH
    options = {**model_options, "transformer_options": {**model_options.get("transformer_options", {})}}
    copied = options["transformer_options"]
    copied["wrappers"] = {name: dict(wrappers) for name, wrappers in copied.get("wrappers", {}).items()}
    if key not in copied["wrappers"].get(kind, {}):
        add_wrapper_with_key(kind, key, wrapper, options, is_model_options=True)
    copied["wrappers"][kind] = _in_order(copied["wrappers"][kind])
    return options


def _in_order(wrappers: Mapping[Any, Any]) -> dict[Any, Any]:
    return dict(sorted(wrappers.items(), key=lambda pair: wrapper_order(str(pair[0]))))


def free_key(key: str, options: Mapping[str, Any]) -> str:
    """`key` with the first unused number: a MODEL may have several edits of a kind."""
    return next(name for n in range(len(options) + 1) if (name := f"{key}.{n}") not in options)


def is_set(key: str, options: Mapping[str, Any]) -> bool:
    """Whether the options have a numbered entry of this key."""
    return any(str(name).startswith(f"{key}.") for name in options)


def levels_of(timestep: Tensor, x: Tensor) -> Tensor:
    """Noise levels of the rows `(f,)`; samplers pass one for all rows, or one per row."""
    return timestep.expand(len(x)) if timestep.numel() == 1 else timestep


def window_of(options: Mapping[str, Any]) -> list[int] | None:
    """Frame numbers of core's context window, with the anchor frame that newer hosts prepend; None outside a window."""
    window = options.get("context_window")
    if window is None:
        return None
    anchor = getattr(window, "causal_anchor_index", None)
    return [*([anchor] if anchor is not None and anchor >= 0 else []), *window.index_list]


def clip_frames(options: Mapping[str, Any], part: int) -> int:
    """Frames per clip: the setting of the first motion module that has one, else all rows.

    part   rows of the batch per condition
    """
    settings = (entry.get("frames", 0) for key, entry in options.items() if str(key).startswith(f"{MOTION}."))
    frames = options.get(CLIP) or next((count for count in settings if count), part)
    return frames if part % frames == 0 else part


def frame_numbers(options: Mapping[str, Any], part: int) -> list[int]:
    """Absolute frame numbers of the rows of one condition: from `FRAMES`, else core's context window, else row indices.

    part   rows of the batch per condition
    """
    numbers = options.get(FRAMES) or window_of(options)
    return list(numbers) if numbers and len(numbers) == part else list(range(part))


def numbering(options: Mapping[str, Any], part: int) -> tuple[list[int], int | None]:
    """Frame numbers of the rows of one condition, and the clip's length (None in a shot without an end).

    A batch may have several clips, one after another, each numbered from 0.

    part   rows of the batch per condition
    """
    if FRAMES in options and not options.get(COUNTED):
        return frame_numbers(options, part), options.get(LENGTH)
    if window_of(options):
        return frame_numbers(options, part), getattr(options["context_window"], "total_frames", None)
    clip = clip_frames(options, part)
    return [row % clip for row in range(part)], clip


def host_attention(options: Mapping[str, Any]) -> AttentionFunction:
    """The host's attention function (xformers, sdpa, sage, ... as started), with overrides of other nodes."""

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        if bias is None:
            return comfy_attention.optimized_attention(q, k, v, heads, transformer_options=options)
        return comfy_attention.optimized_attention_masked(q, k, v, heads, mask=bias, transformer_options=options)

    return attention
