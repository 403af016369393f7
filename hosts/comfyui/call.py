"""A call of the model: the keys of our options, the order of our wrappers, and which frames and noise levels its rows are."""

from collections.abc import Callable, Mapping
from typing import Any

import comfy.ldm.modules.attention as comfy_attention
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ...models.layers.attention import AttentionFunction

WINDOWS = "zoetrope.windows"
"""In `transformer_options`: a wrapper of ours gives the model a part of the clip at a time."""
MOTION = "zoetrope.motion"
"""In `transformer_options`: options of motion modules; a number follows."""
IMAGE_PROMPT = "zoetrope.picture"
"""In `transformer_options`: options of image prompts; a number follows."""
GUIDE = "zoetrope.guide"
"""In `transformer_options`: given frames; a number follows."""
FRAMES = "zoetrope.frames"
"""In `transformer_options`: the absolute number of the frame in each row of x."""
UPSCALE = "zoetrope.small"
"""In `transformer_options`: small pictures that belong to the rows of a call, with noise, and their noise level."""
LENGTH = "zoetrope.length"
"""In `transformer_options`, beside `FRAMES`: how many frames the whole clip has; absent in a shot without an end."""
COUNTED = "zoetrope.counted"
"""In `transformer_options`, beside `FRAMES`: the numbers only count the rows of a batch."""
CLIP = "zoetrope.clip"
"""In `transformer_options`, beside `FRAMES`: frames per window, where a call has several windows."""
LEVELS = "zoetrope.levels"
"""In `transformer_options`: noise levels of the rows as the sampler has them, where given frames enter at others."""
PLACES = "zoetrope.places"
"""In `transformer_options`: height and width of the latent that is sampled, and the areas of conditions by their id."""
TILE = "zoetrope.tile"
"""In `transformer_options`: (top, left, (height, width) of the whole) of a tile that is sampled by itself."""
CALL_STATES = "zoetrope.memories"
"""In `transformer_options`: what other nodes remember, apart for each window (`run_state.CallStates`)."""
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
"""In `transformer_options`: the shares of the sampling between which guidance acts."""
GUARD = "zoetrope.watch"
"""In `transformer_options`: counts the calls that the model runs (`call_guard.CallGuard`)."""

OTHERS = "*"
"""Wrappers of other packs."""
ORDER = (WINDOWS, FLOW, INTERVAL, OTHERS, MOTION, LORA, SHARED, MERGED, IMAGE_PROMPT, GUIDE, FRAMES, PLACES, CONTROL, UPSCALE)
"""Every wrapper of ours by its key, from the outermost to the innermost, whatever it wraps.

Windows cut a clip before anything is put into it; guidance is limited per window; given frames are put in before each frame
gets its conditioning; small pictures go along with the rows that are left.
"""

OURS = "zoetrope."
"""What every key of ours begins with."""

Wrapper = Callable[..., Any]


def is_ours(key: Any) -> bool:
    return str(key).startswith(OURS)


def wrapper_order(key: str) -> tuple[int, int]:
    """Where a wrapper with this key stands: its place in `ORDER`, and its number among several of one kind."""
    for place, name in enumerate(ORDER):
        if key == name or key.startswith(f"{name}."):
            number = key[len(name) + 1 :]
            return place, int(number) if number.isdecimal() else 0
    return ORDER.index(OTHERS), 0


def wrap_model(patched: Any, kind: str, key: str, wrapper: Wrapper) -> None:
    """Adds a wrapper to a MODEL, in its place among those that are there."""
    patched.add_wrapper_with_key(kind, key, wrapper)
    patched.wrappers[kind] = _in_order(patched.wrappers[kind])


def wrap_call(model_options: Mapping[str, Any], key: str, wrapper: Wrapper) -> dict[str, Any]:
    """A copy of a run's options with a CALC_COND_BATCH wrapper in its place; a wrapper that has the key already stays."""
    kind = WrappersMP.CALC_COND_BATCH
    options = {**model_options, "transformer_options": {**model_options.get("transformer_options", {})}}
    ours = options["transformer_options"]
    ours["wrappers"] = {name: dict(wrappers) for name, wrappers in ours.get("wrappers", {}).items()}
    if key not in ours["wrappers"].get(kind, {}):
        add_wrapper_with_key(kind, key, wrapper, options, is_model_options=True)
    ours["wrappers"][kind] = _in_order(ours["wrappers"][kind])
    return options


def _in_order(wrappers: Mapping[Any, Any]) -> dict[Any, Any]:
    return dict(sorted(wrappers.items(), key=lambda pair: wrapper_order(str(pair[0]))))


def free_key(key: str, options: Mapping[str, Any]) -> str:
    """`key` and the first number that is free in the options: several of a kind may share one model."""
    return next(name for n in range(len(options) + 1) if (name := f"{key}.{n}") not in options)


def is_set(key: str, options: Mapping[str, Any]) -> bool:
    """Whether the options hold one or more numbered entries of this key."""
    return any(str(name).startswith(f"{key}.") for name in options)


def levels_of(timestep: Tensor, x: Tensor) -> Tensor:
    """The noise level of every row `(f,)`: samplers give one for all, or one for each."""
    return timestep.expand(len(x)) if timestep.numel() == 1 else timestep


def window_of(options: Mapping[str, Any]) -> list[int] | None:
    """Frames of core's context window, the one that newer hosts put in front of later windows included; None outside one."""
    window = options.get("context_window")
    if window is None:
        return None
    anchor = getattr(window, "causal_anchor_index", None)
    return [*([anchor] if anchor is not None and anchor >= 0 else []), *window.index_list]


def clip_frames(options: Mapping[str, Any], part: int) -> int:
    """Frames per clip in a part of so many rows: what the first motion module is told, else all of them."""
    told = (own.get("frames", 0) for key, own in options.items() if str(key).startswith(f"{MOTION}."))
    frames = options.get(CLIP) or next((count for count in told if count), part)
    return frames if part % frames == 0 else part


def frame_numbers(options: Mapping[str, Any], part: int) -> list[int]:
    """Absolute numbers of the frames in each part of a call, of so many rows: ours, core's window's, or just counted."""
    numbers = options.get(FRAMES) or window_of(options)
    return list(numbers) if numbers and len(numbers) == part else list(range(part))


def numbering(options: Mapping[str, Any], part: int) -> tuple[list[int], int | None]:
    """Numbers of a part's frames in their clip, and the clip's length; None in a shot without an end.

    A batch may hold several clips, one after another, each of which begins with 0.
    """
    if FRAMES in options and not options.get(COUNTED):
        return frame_numbers(options, part), options.get(LENGTH)
    if window_of(options):
        return frame_numbers(options, part), getattr(options["context_window"], "total_frames", None)
    clip = clip_frames(options, part)
    return [row % clip for row in range(part)], clip


def host_attention(options: Mapping[str, Any]) -> AttentionFunction:
    """The attention the user started the host with (xformers, sdpa, sage, ...), overrides of other nodes included."""

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        if bias is None:
            return comfy_attention.optimized_attention(q, k, v, heads, transformer_options=options)
        return comfy_attention.optimized_attention_masked(q, k, v, heads, mask=bias, transformer_options=options)

    return attention
