"""Hooks of ours in the host's UNets: put in and taken out by the host, guarded by their owner, at work in a range of steps."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import comfy.model_management
import comfy.model_patcher
import torch
from torch import Tensor, nn

from ...models.backbones.places import Places
from ...models.layers.strength import Dial
from .call import LEVELS
from .unet import unet_of, unet_places


def check_range(start: float, end: float) -> None:
    """Raises ValueError for shares of the sampling that are none."""
    if not 0 <= start <= end <= 1:
        raise ValueError(f"start and end: expected 0 <= start <= end <= 1, got {start:g} and {end:g}")


def patcher_for(network: nn.Module) -> Any:
    """A network of ours in the host's hands; newer hosts stream weights through a kind of patcher of their own."""
    kind = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    manager = comfy.model_management
    return kind(network, load_device=manager.get_torch_device(), offload_device=manager.unet_offload_device())


class Installable(Protocol):
    """Hooks of one network in one UNet."""

    @property
    def installed(self) -> bool: ...

    def install(self, network: Any, places: Places, /) -> None: ...

    def remove(self) -> None: ...


Kind = TypeVar("Kind", bound=Installable)


class Owned(Generic[Kind]):
    """In every UNet that clones of the patched model run (newer hosts clone a model onto another device).

    Hooks have an owner: clone() copies the host's is_injected flag and a patcher ejects when it is collected, so without the
    guard any clone that dies during sampling would leave the rest of the frames without them, silently.
    """

    def __init__(self, key: str, what: str, make: Callable[[], Kind]):
        """key: of the additional model and of the options; what: how to call it in a message."""
        self._key = key
        self._what = what
        self._make = make
        self._injections: weakref.WeakKeyDictionary[nn.Module, Kind] = weakref.WeakKeyDictionary()
        self._owners: weakref.WeakKeyDictionary[nn.Module, Callable[[], Any]] = weakref.WeakKeyDictionary()
        self._ranges: weakref.WeakKeyDictionary[nn.Module, tuple[float, float]] = weakref.WeakKeyDictionary()

    def inject(self, patcher: Any) -> None:
        unet = unet_of(patcher)
        self._owners[unet] = weakref.ref(patcher)
        places = unet_places(unet)
        for additional in patcher.get_additional_models_with_key(self._key):
            self.of(unet).install(additional.model, places)

    def eject(self, patcher: Any) -> None:
        unet = patcher.model.diffusion_model
        owner = self._owners.get(unet)
        if owner and owner() in (patcher, None):  # None: the owner died in a reference cycle, its weak reference is cleared
            self.of(unet).remove()

    def of(self, unet: nn.Module) -> Kind:
        """The injection in one UNet."""
        if unet not in self._injections:
            self._injections[unet] = self._make()
        return self._injections[unet]

    def at_work(self, unet: nn.Module) -> Kind:
        """The injection in the UNet that is running. Raises RuntimeError where somebody took it away."""
        injection = self.of(unet)
        if not injection.installed:
            raise RuntimeError(
                f"Zoetrope: the {self._what}'s hooks are gone although its model is sampling; the picture would lose its "
                f"{self._what} silently. Run the queue again; if this repeats, report it with the list of installed node packs."
            )
        return injection

    def watch_range(self, executor: Any, x: Tensor, t: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Turns the shares of sampling into noise levels, by the schedule that the model samples with."""
        model = executor.class_obj
        options = kwargs.get("transformer_options") or next((a for a in args if isinstance(a, dict)), {})
        own = options.get(self._key, {})
        sigma_at = model.model_sampling.percent_to_sigma
        unet = getattr(model.diffusion_model, "_orig_mod", model.diffusion_model)  # torch.compile wraps it
        self._ranges[unet] = (sigma_at(own.get("start", 0.0)), sigma_at(own.get("end", 1.0)))
        try:
            return executor(x, t, *args, **kwargs)
        finally:
            self._ranges.pop(unet, None)

    def active(self, unet: nn.Module, options: Mapping[str, Any]) -> Dial:
        """1 between start and end, else 0; one of them per frame `(f, 1, 1)` where noise levels differ from frame to frame."""
        sigma = options.get(LEVELS, options.get("sigmas"))
        if unet not in self._ranges or sigma is None:
            return 1.0
        first, last = self._ranges[unet]
        within = ((sigma <= first) & (sigma > last)).flatten()
        if bool((within == within[0]).all()):
            return float(within[0])
        return within.to(torch.float32).reshape(-1, 1, 1)


class Shower(Installable, Protocol):
    """Hooks that act on what they are shown, and rest where that is empty."""

    def show(self, shown: Any, /) -> Any: ...


Shows = TypeVar("Shows", bound=Shower)


class Showing(Owned[Shows]):
    """Hooks that are shown something for the time of each UNet call."""

    def shown(self, x: Tensor, options: Mapping[str, Any], own: Any, unet: Any) -> Any:
        """What this call is shown; empty: nothing. own: the options under our key."""
        raise NotImplementedError

    def run(self, executor: Any, x: Tensor, timesteps: Tensor, context: Any = None, y: Any = None, control: Any = None,
            transformer_options: Any = None, *args: Any, **kwargs: Any) -> Any:  # fmt: skip
        """A DIFFUSION_MODEL wrapper."""
        options, unet = transformer_options or {}, executor.class_obj
        own = options.get(self._key)
        shown = self.shown(x, options, own, unet) if own else None
        injection = self.at_work(unet) if shown else self.of(unet)
        before = injection.show(shown)
        try:
            return executor(x, timesteps, context, y, control, options, *args, **kwargs)
        finally:
            injection.show(before)
