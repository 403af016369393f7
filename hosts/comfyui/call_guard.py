"""Protection against nodes that reuse the previous model call: disables those of core, detects others.

Sliding Windows and the queue call the model for one part of a clip after another. A node for which the previous call is the
previous step of the same frames (a step cache, core's context windows) would return predictions of other frames.
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
"""In `transformer_options`: state of core's EasyCache and LazyCache (comfy_extras/nodes_easycache.py)."""


def for_other_frames(options: Mapping[str, Any], sampling: Any, by: str) -> dict[str, Any]:
    """A copy of a run's options with core's step caches and context windows disabled, with a warning in the log.

    sampling   the model's sampling object
    by         the node that calls the model for parts of the clip, for messages
    """
    transformer_options = {**options.get("transformer_options", {})}
    changed = {**options, "transformer_options": transformer_options}
    if changed.pop("context_handler", None) is not None:
        log.warning("Zoetrope: core's context windows on this MODEL are disabled: %s has windows of its own", by)
    cache = transformer_options.get(STEP_CACHE)
    if cache is not None:
        transformer_options[STEP_CACHE] = _disabled(cache, sampling)
        log.warning(
            "Zoetrope: %s on this MODEL is disabled: it reuses the previous model call, which in %s was for other frames",
            getattr(cache, "name", "a step cache"), by,
        )  # fmt: skip
    return changed


def call_states_of(options: Mapping[str, Any]) -> CallStates:
    """State of other nodes on the MODEL, found in a run's options."""
    others: dict[str, Any] = {}
    for name, value in options.get("transformer_options", {}).items():
        if name not in ("wrappers", STEP_CACHE) and not is_ours(name):
            others[name] = value
    return CallStates({name: value for name, value in options.items() if name != "transformer_options"}, others)


def _disabled(cache: Any, sampling: Any) -> Any:
    """A copy of a step cache whose range of steps ends before the first one."""
    disabled = copy.copy(cache)
    disabled.end_percent = 0.0
    return disabled.prepare_timesteps(sampling)


class CallGuard:
    """Counts calls of the model and runs of its network, to detect a result that was not computed."""

    def __init__(self, by: str, frames: Sequence[int]):
        self._by, self._frames = by, frames
        self.calls, self.runs = 0, 0

    @contextmanager
    def checked_call(self, conditions: int) -> Iterator[None]:
        """Surrounds a call of the model for a number of conditions. Raises RuntimeError where the network did not run."""
        self.calls += 1
        before = self.runs
        yield
        if conditions and self.runs == before:
            raise RuntimeError(self.message)

    @property
    def message(self) -> str:
        first, last = min(self._frames), max(self._frames)
        return (
            f"a node on this MODEL returned frames {first} to {last} without running the model: a step cache (TeaCache, First "
            f"Block Cache, DeepCache and the like) that reuses the previous call, which in {self._by} was for other frames. "
            "Remove that node from this MODEL."
        )


@contextmanager
def guarded(model: Any, options: Mapping[str, Any], by: str, frames: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Surrounds one call of a guider; yields entries for `transformer_options`. Raises RuntimeError for a reused result.

    model     the host's BaseModel; not checked where it is not a UNet, or compiled (each new hook would recompile it)
    options   `transformer_options` of the run
    by, frames   node and frame numbers, for the message
    """
    layer = _middle(model.diffusion_model)
    if layer is None or is_compiled(model.diffusion_model, options):
        yield {}
        return
    guard = CallGuard(by, frames)

    def count(*_: Any) -> None:
        guard.runs += 1

    handle = layer.register_forward_hook(count)
    try:
        yield {GUARD: guard}
    finally:
        handle.remove()
    if not guard.calls:
        raise RuntimeError(guard.message)


def checked_call(options: Mapping[str, Any], conditions: int) -> Any:
    """A context manager that checks a call of the model, where the options have a guard."""
    guard = options.get(GUARD)
    return guard.checked_call(conditions) if guard else nullcontext()


def _middle(unet: Any) -> nn.Module | None:
    """A layer that every run of a UNet executes: of its middle block, else of the last encoder block."""
    blocks = [getattr(unet, "middle_block", None), *reversed(getattr(unet, "input_blocks", ()))]
    return next((block[0] for block in blocks if block is not None and len(block)), None)
