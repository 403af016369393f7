"""Calls of the model: the pack's option keys, the order of its wrappers, frame numbers and noise levels of the rows."""

from collections.abc import Callable, Mapping
from typing import Any

import comfy.ldm.modules.attention as comfy_attention
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ...models.layers.attention import AttentionFunction

WINDOWS = "zoetrope.windows"
"""In `transformer_options`: window length in frames, where the model is called for one window of the clip at a time."""
MOTION = "zoetrope.motion"
"""In `transformer_options`, followed by `.` and a number: options of a motion module."""
IMAGE_PROMPT = "zoetrope.picture"
"""In `transformer_options`, followed by `.` and a number: options of an image prompt."""
GUIDE = "zoetrope.guide"
"""In `transformer_options`, followed by `.` and a number: given frames."""
FRAMES = "zoetrope.frames"
"""In `transformer_options`: absolute frame number of each row of x."""
UPSCALE = "zoetrope.small"
"""In `transformer_options`: (noisy small picture of each row, their noise level): additional input of the x4 upscaler."""
INPAINT = "zoetrope.inpaint"
"""In `transformer_options`: mask and blanked picture of each row, additional input of inpainting models."""
LENGTH = "zoetrope.length"
"""In `transformer_options`, beside `FRAMES`: number of frames in the clip; absent in an endless shot."""
COUNTED = "zoetrope.counted"
"""In `transformer_options`, beside `FRAMES`: whether the frame numbers are only row indices of a batch."""
CLIP = "zoetrope.clip"
"""In `transformer_options`, beside `FRAMES`: frames per window, where a call has several windows."""
LEVELS = "zoetrope.levels"
"""In `transformer_options`: the sampler's noise level of each row, where the model gets given frames at another level."""
PLACES = "zoetrope.places"
"""In `transformer_options`: ((height, width) of the sampled latent, areas of the conditions by condition id)."""
TILE = "zoetrope.tile"
"""In `transformer_options`: (top, left, (height, width) of the full latent), for a tile."""
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
INTERVAL = "zoetrope.interval"
"""In `transformer_options`: (start, end) of guidance as fractions of the sampling."""
GUARD = "zoetrope.watch"
"""In `transformer_options`: counter of model calls and runs (`call_guard.CallGuard`)."""
DIT = "zoetrope.dit"
"""Wrappers that give video transformers a noise level per latent frame."""
PREVIEWS = "zoetrope.previews"
"""Wrapper that sends previews of the clip being sampled to the editor."""

OTHERS = "*"
"""Position of other packs' wrappers in `ORDER`."""
ORDER = (
    PREVIEWS,
    WINDOWS,
    INTERVAL,
    OTHERS,
    MOTION,
    LORA,
    SHARED,
    MERGED,
    IMAGE_PROMPT,
    GUIDE,
    FRAMES,
    PLACES,
    CONTROL,
    UPSCALE,
    INPAINT,
    DIT,
)
"""Keys of the pack's wrappers from the outermost to the innermost, the same for every kind of wrapper.

A clip is first cut into windows; guidance is limited per window; given frames replace rows before each frame gets its
conditioning; last, small pictures are added to the remaining rows, or a video transformer gets a level per frame.
"""

OURS = "zoetrope."
"""Prefix of the pack's keys."""

Wrapper = Callable[..., Any]


def is_ours(key: Any) -> bool:
    """Whether a key of options or wrappers belongs to the pack."""
    return str(key).startswith(OURS)


def wrapper_order(key: str) -> tuple[int, int]:
    """Sort key of a wrapper: its index in `ORDER`, then the number at the end of its key."""
    for position, name in enumerate(ORDER):
        if key == name or key.startswith(f"{name}."):
            number = key[len(name) + 1 :]
            return position, int(number) if number.isdecimal() else 0
    return ORDER.index(OTHERS), 0


def wrap_model(patched: Any, kind: str, key: str, wrapper: Wrapper) -> None:
    """Adds a wrapper to a MODEL and sorts the wrappers of that kind by `ORDER`."""
    patched.add_wrapper_with_key(kind, key, wrapper)
    patched.wrappers[kind] = _in_order(patched.wrappers[kind])


def wrap_call(
    model_options: Mapping[str, Any], key: str, wrapper: Wrapper, kind: str = WrappersMP.CALC_COND_BATCH
) -> dict[str, Any]:
    """A copy of a run's options with this wrapper, sorted by `ORDER`; an existing one of that kind and key is kept."""
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
    """`key` with the first unused number, because a MODEL may have several edits of a kind."""
    return next(name for n in range(len(options) + 1) if (name := f"{key}.{n}") not in options)


def is_set(key: str, options: Mapping[str, Any]) -> bool:
    """Whether the options have a numbered entry of this key."""
    return any(str(name).startswith(f"{key}.") for name in options)


def levels_of(timestep: Tensor, x: Tensor) -> Tensor:
    """Noise level of each row `(f,)`. Samplers pass one level for all rows or one per row."""
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
    """Frame numbers of the rows of one condition, and the clip's length (None in an endless shot).

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
    """The host's attention function (xformers, sdpa, sage, ..., as chosen at startup), with other nodes' overrides."""

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        if bias is None:
            return comfy_attention.optimized_attention(q, k, v, heads, transformer_options=options)
        return comfy_attention.optimized_attention_masked(q, k, v, heads, mask=bias, transformer_options=options)

    return attention
