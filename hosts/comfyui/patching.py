"""Hooks of ours in the host's UNets: put in and taken out by the host, guarded by their owner, at work in a range of steps."""

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic

import torch
from comfy.patcher_extension import PatcherInjection, WrappersMP
from torch import Tensor, nn

from ...models.edits.hooks import Edit, Inputs
from ...models.layers.strength import Strength
from .call import LEVELS, wrap_model
from .compiled import hooks_enabled
from .latents import check_latent
from .regions import record_regions
from .unet import unet_of, unet_places


def check_range(start: float, end: float) -> None:
    """Raises ValueError for shares of the sampling that are none."""
    if not 0 <= start <= end <= 1:
        raise ValueError(f"start and end: expected 0 <= start <= end <= 1, got {start:g} and {end:g}")


@dataclass(frozen=True)
class UnetCall:
    """One call of the UNet."""

    x: Tensor
    """`(b f) c h w`, noisy."""
    context: Tensor | None
    """Text tokens `(b f) n d`."""
    options: Mapping[str, Any]
    """`transformer_options`."""
    own: Mapping[str, Any]
    """The entry of the options under the edit's key; empty where a node took it out."""
    unet: nn.Module

    @property
    def chunks(self) -> int:
        """Equal parts of the batch, one per conditioning."""
        return len(self.options.get("cond_or_uncond", (0,)))


class HostEdit(ABC, Generic[Inputs]):
    """An edit in every UNet that clones of the patched model run (newer hosts clone a model onto another device).

    Hooks have an owner: clone() copies the host's is_injected flag and a patcher ejects when it is collected, so without the
    guard any clone that dies during sampling would leave the rest of the frames without them, silently.
    """

    uses_regions: ClassVar[bool] = False
    """Whether its inputs belong to places of the whole picture (masks, given frames), which areas and tiles cut out."""
    has_network: ClassVar[bool] = True
    """Whether it has weights of its own, which the host loads as an additional model."""

    def __init__(self, key: str, what: str, make: Callable[[], Edit[Inputs]]):
        """key: of the additional model and of the options; what: how to call it in a message."""
        self._key = key
        self._what = what
        self._make = make
        self._edits: weakref.WeakKeyDictionary[nn.Module, Edit[Inputs]] = weakref.WeakKeyDictionary()
        self._owners: weakref.WeakKeyDictionary[nn.Module, Callable[[], Any]] = weakref.WeakKeyDictionary()
        self._ranges: weakref.WeakKeyDictionary[nn.Module, tuple[float, float]] = weakref.WeakKeyDictionary()

    @abstractmethod
    def inputs(self, call: UnetCall) -> Inputs | None:
        """Inputs of the edit for this call; None where it does not act."""

    def add_to(self, patched: Any, patcher: Any | None, options: Mapping[str, Any]) -> None:
        """Puts the edit on a MODEL: its network as an additional model, its options under its key, hooks, wrappers."""
        patched.model_options["transformer_options"][self._key] = options
        if patcher is not None:
            patched.set_additional_models(self._key, [patcher.clone()])  # a clone: loading state belongs to one model each
        patched.set_injections(self._key, [PatcherInjection(self.inject, self.eject)])
        wrap_model(patched, WrappersMP.OUTER_SAMPLE, self._key, self._sample)
        wrap_model(patched, WrappersMP.DIFFUSION_MODEL, self._key, self.run)
        wrap_model(patched, WrappersMP.APPLY_MODEL, self._key, self.apply_model)
        if self.uses_regions:
            record_regions(patched)

    def _sample(self, executor: Any, noise: Any, *args: Any, **kwargs: Any) -> Any:
        check_latent(noise, executor.class_obj.model_patcher)
        return self.sample(executor, noise, *args, **kwargs)

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """An OUTER_SAMPLE wrapper: what is checked once, before any model is loaded."""
        return executor(*args, **kwargs)

    def run(self, executor: Any, x: Tensor, timesteps: Tensor, context: Any = None, y: Any = None, control: Any = None,
            transformer_options: Any = None, *args: Any, **kwargs: Any) -> Any:  # fmt: skip
        """A DIFFUSION_MODEL wrapper: gives the edit its inputs for the time of one call."""
        options, unet = transformer_options or {}, executor.class_obj
        inputs = self.inputs(UnetCall(x, context, options, options.get(self._key) or {}, unet))
        edit = self.of(unet) if inputs is None else self.running(unet)
        before = edit.give(inputs)
        try:
            return executor(x, timesteps, context, y, control, options, *args, **kwargs)
        finally:
            edit.give(before)

    def inject(self, patcher: Any) -> None:
        unet = unet_of(patcher)
        self._owners[unet] = weakref.ref(patcher)
        places = unet_places(unet)
        networks = patcher.get_additional_models_with_key(self._key) if self.has_network else [None]
        for network in networks:
            self.of(unet).install(network and network.model, places)

    def eject(self, patcher: Any) -> None:
        unet = patcher.model.diffusion_model
        owner = self._owners.get(unet)
        if owner and owner() in (patcher, None):  # None: the owner died in a reference cycle, its weak reference is cleared
            self.of(unet).remove()

    def of(self, unet: nn.Module) -> Edit[Inputs]:
        """The edit of one UNet."""
        if unet not in self._edits:
            self._edits[unet] = self._make()
        return self._edits[unet]

    def running(self, unet: nn.Module) -> Edit[Inputs]:
        """The edit of the UNet that is running. Raises RuntimeError where somebody took its hooks away."""
        edit = self.of(unet)
        if not edit.installed:
            raise RuntimeError(
                f"Zoetrope: the {self._what}'s hooks are gone although its model is sampling; the picture would lose its "
                f"{self._what} silently. Run the queue again; if this repeats, report it with the list of installed node packs."
            )
        return edit

    def apply_model(self, executor: Any, x: Tensor, t: Tensor, *args: Any, **kwargs: Any) -> Any:
        """An APPLY_MODEL wrapper: the range of noise levels in which the edit acts, and hooks that compiled code heeds."""
        model = executor.class_obj
        options = kwargs.get("transformer_options") or next((a for a in args if isinstance(a, dict)), {})
        own = options.get(self._key, {})
        unet = getattr(model.diffusion_model, "_orig_mod", model.diffusion_model)  # torch.compile wraps it
        start, end = own.get("start", 0.0), own.get("end", 1.0)
        if start > 0 or end < 1:
            sigma_at = model.model_sampling.percent_to_sigma
            self._ranges[unet] = (sigma_at(start), sigma_at(end))
        try:
            with hooks_enabled(model.diffusion_model, options):
                return executor(x, t, *args, **kwargs)
        finally:
            self._ranges.pop(unet, None)

    def active(self, unet: nn.Module, options: Mapping[str, Any]) -> Strength:
        """1 between start and end, else 0; one of them per frame `(f, 1, 1)` where noise levels differ from frame to frame."""
        sigma = options.get(LEVELS, options.get("sigmas"))
        if unet not in self._ranges or sigma is None:
            return 1.0
        first, last = self._ranges[unet]
        within = ((sigma <= first) & (sigma > last)).flatten()
        if bool((within == within[0]).all()):
            return float(within[0])
        return within.to(torch.float32).reshape(-1, 1, 1)
