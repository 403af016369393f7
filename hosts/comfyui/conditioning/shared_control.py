"""Attention across frames inside the ControlNets of a run: hooks for the time of the run, inputs for each call."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

from ....models.backbones.places import places_of
from ....models.edits.shared_attention import SharedAttention
from ..call import CONTROL, SHARED, levels_of, wrap_model
from ..unet import down_sites, middle_sites
from .shared_inputs import FirstFrameStore, shared_inputs

log = logging.getLogger(__name__)


def in_controlnets(patched: Any, key: str) -> None:
    """Lets the ControlNets of every run of a MODEL do what its UNet does by the options under this key."""
    hooks = ControlHooks(key)
    name = key.replace(SHARED, CONTROL, 1)
    wrap_model(patched, WrappersMP.OUTER_SAMPLE, name, hooks.sample)
    wrap_model(patched, WrappersMP.CALC_COND_BATCH, name, hooks.predict)


@dataclass
class _Call:
    """One call for all conditionings of a step or window."""

    x: Tensor
    sigma: Tensor
    options: dict[str, Any]
    halves: tuple[int, ...]
    sampling: Any
    counts: dict[int, int] = field(default_factory=dict)


class ControlHooks:
    """Hooks in the ControlNets of one run."""

    def __init__(self, key: str):
        self._key = key
        self._store = FirstFrameStore()
        self._call: _Call | None = None

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """An OUTER_SAMPLE wrapper."""
        with ExitStack() as stack:
            stack.callback(self._store.clear)
            for network in networks_of(executor.class_obj.conds):
                stack.enter_context(self._hooked(network))
            return executor(*args, **kwargs)

    def predict(self, executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
        """A CALC_COND_BATCH wrapper, inside the one that gives each half a call of its own."""
        halves = tuple(index for index, half in enumerate(conds) if half)
        transformer_options = {**options.get("transformer_options", {}), "sigmas": timestep}
        self._call = _Call(x, levels_of(timestep, x), transformer_options, halves, model.model_sampling)
        try:
            return executor(model, conds, x, timestep, options, *more)
        finally:
            self._call = None

    @contextmanager
    def _hooked(self, network: nn.Module) -> Iterator[None]:
        edit = SharedAttention()
        sites = {**down_sites(network), **middle_sites(network)}
        edit.install(None, places_of(sites, {}))

        def start(module: nn.Module, args: Any, kwargs: Any) -> None:
            edit.give(self._inputs(id(network), kwargs["x"] if "x" in kwargs else args[0]))

        handle = network.register_forward_pre_hook(start, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()
            edit.remove()

    def _inputs(self, network: int, x: Tensor) -> Any:
        call = self._call
        if call is None or len(x) % len(call.x):
            return None
        call.counts[network] = call.counts.get(network, -1) + 1
        # The host does not pass a conditioning's id to ControlNets; their order is the same in every window.
        parts = [(("control", network, call.halves, call.counts[network], index),) for index in range(len(x) // len(call.x))]
        own = call.options.get(self._key) or {}
        sigma_at = call.sampling.percent_to_sigma
        within = (call.sigma <= sigma_at(own.get("start", 0.0))) & (call.sigma > sigma_at(own.get("end", 1.0)))
        active = float(within[0]) if bool((within == within[0]).all()) else within.float().reshape(-1, 1, 1)
        return shared_inputs(own, call.options, x, parts, active, self._store)


def networks_of(conds: Any) -> list[nn.Module]:
    """ControlNets of Stable Diffusion among the conditionings of a run, each once."""
    found: dict[int, nn.Module] = {}
    for half in conds.values():
        for one in half or ():
            control = one.get("control")
            while control is not None:
                network = getattr(control, "control_model", None)
                network = getattr(network, "network", network)  # of SparseCtrl
                if isinstance(network, nn.Module) and hasattr(network, "input_blocks"):
                    found[id(network)] = network
                else:
                    name = type(control).__name__
                    log.warning("Zoetrope: Look Across Frames acts in ControlNets of Stable Diffusion, not in this %s", name)
                control = control.previous_controlnet
    return list(found.values())
