"""Calls of the model for other frames each time: nodes that reuse the last call have to rest, or are noticed.

Sliding Windows and the queue call the model for one part of a clip after another. A node that takes the last call for the last
step of the same frames (a step cache, core's context windows) would answer with what belongs to others.
"""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn

from .call import GUARD, is_ours
from .compiled import is_compiled
from .run_state import CallStates

log = logging.getLogger(__name__)

STEP_CACHE = "easycache"
"""In `transformer_options`: what core's EasyCache and LazyCache remember (comfy_extras/nodes_easycache.py)."""


def for_other_frames(options: Mapping[str, Any], sampling: Any, by: str) -> dict[str, Any]:
    """A copy of a run's options in which core's step caches and context windows rest; says so.

    sampling   the model's sampling object
    by         the node that calls the model for parts of the clip, for messages
    """
    transformer_options = {**options.get("transformer_options", {})}
    changed = {**options, "transformer_options": transformer_options}
    if changed.pop("context_handler", None) is not None:
        log.warning("Zoetrope: core's context windows on this MODEL rest: %s cuts the clip by itself", by)
    cache = transformer_options.get(STEP_CACHE)
    if cache is not None:
        transformer_options[STEP_CACHE] = _resting(cache, sampling)
        log.warning(
            "Zoetrope: %s on this MODEL rests: it reuses the last call of the model, and in %s that was of other frames",
            getattr(cache, "name", "a step cache"), by,
        )  # fmt: skip
    return changed


def call_states_of(options: Mapping[str, Any]) -> CallStates:
    """What nodes on the MODEL remember, from a run's options; our own wrappers are left alone."""
    transformer_options = options.get("transformer_options", {})
    others = {
        name: value for name, value in transformer_options.items() if name not in ("wrappers", STEP_CACHE) and not is_ours(name)
    }
    return CallStates({name: value for name, value in options.items() if name != "transformer_options"}, others)


def _resting(cache: Any, sampling: Any) -> Any:
    """A cache whose range of steps is over before the first one."""
    resting = copy.copy(cache)
    resting.end_percent = 0.0
    return resting.prepare_timesteps(sampling)


class CallGuard:
    """Counts what was asked of the model and what it ran, to notice an answer that was not computed."""

    def __init__(self, by: str, frames: Sequence[int]):
        self._by, self._frames = by, frames
        self.asked, self.ran = 0, 0

    @contextmanager
    def asking(self, conditions: int) -> Iterator[None]:
        """Around a call of the model for so many conditions. Raises RuntimeError where it was answered and did not run."""
        self.asked += 1
        before = self.ran
        yield
        if conditions and self.ran == before:
            raise RuntimeError(self.message)

    @property
    def message(self) -> str:
        first, last = min(self._frames), max(self._frames)
        return (
            f"a node on this MODEL answered for frames {first} to {last} without running the model: a step cache (TeaCache, "
            f"First Block Cache, DeepCache and the like) that reuses the last call, which in {self._by} was of other frames. "
            "Take that node away from this MODEL."
        )


@contextmanager
def guarded(model: Any, options: Mapping[str, Any], by: str, frames: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Around one call of a guider: gives what belongs into `transformer_options`. Raises RuntimeError for a reused answer.

    model     the host's BaseModel; nothing is counted where it is no UNet, or compiled (each new hook is compiled anew)
    options   `transformer_options` of the run
    """
    layer = _middle(model.diffusion_model)
    if layer is None or is_compiled(model.diffusion_model, options):
        yield {}
        return
    guard = CallGuard(by, frames)

    def count(*_: Any) -> None:
        guard.ran += 1

    handle = layer.register_forward_hook(count)
    try:
        yield {GUARD: guard}
    finally:
        handle.remove()
    if not guard.asked:
        raise RuntimeError(guard.message)


def asking(options: Mapping[str, Any], conditions: int) -> Any:
    """A context around a call of the model, where somebody watches."""
    guard = options.get(GUARD)
    return guard.asking(conditions) if guard else nullcontext()


def _middle(unet: Any) -> nn.Module | None:
    """A layer that every run of a UNet passes, in its middle or at the end of its way down."""
    blocks = [getattr(unet, "middle_block", None), *reversed(getattr(unet, "input_blocks", ()))]
    return next((block[0] for block in blocks if block is not None and len(block)), None)
