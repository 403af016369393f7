"""Edits in the host's UNets: hooks that the host installs and removes, with an owner, active in a range of noise levels."""

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
    """Raises ValueError unless start and end are shares of the sampling in order, each from 0 to 1."""
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
    entry: Mapping[str, Any]
    """The edit's entry in the options; empty where a node removed it."""
    unet: nn.Module

    @property
    def chunks(self) -> int:
        """Equal parts of the batch, one per conditioning."""
        return len(self.options.get("cond_or_uncond", (0,)))


class HostEdit(ABC, Generic[Inputs]):
    """An edit on a MODEL, in the UNet of each of its clones (newer hosts clone a model onto another device).

    Hooks have an owner: clone() copies the host's is_injected flag, and a patcher ejects when it is collected. Without an owner
    a clone that is collected during sampling would remove the hooks for the remaining frames, without an error.
    """

    uses_regions: ClassVar[bool] = False
    """Whether inputs depend on the position in the picture (masks, given frames), so that areas and tiles crop them."""
    has_network: ClassVar[bool] = True
    """Whether it has weights of its own, which the host loads as an additional model."""

    def __init__(self, key: str, what: str, make: Callable[[], Edit[Inputs]]):
        """key: of the additional model and of the options; what: name of the edit in messages; make: constructor of the edit"""
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
        """Adds the edit to a MODEL: its network as an additional model, its options under its key, hooks and wrappers."""
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
        """An OUTER_SAMPLE wrapper: checks once per run, before any model is loaded."""
        return executor(*args, **kwargs)

    def run(self, executor: Any, x: Tensor, timesteps: Tensor, context: Any = None, y: Any = None, control: Any = None,
            transformer_options: Any = None, *args: Any, **kwargs: Any) -> Any:  # fmt: skip
        """A DIFFUSION_MODEL wrapper: passes the edit its inputs during one call of the UNet."""
        options, unet = transformer_options or {}, executor.class_obj
        inputs = self.inputs(UnetCall(x, context, options, options.get(self._key) or {}, unet))
        edit = self.of(unet) if inputs is None else self.running(unet)
        before = edit.give(inputs)
        try:
            return executor(x, timesteps, context, y, control, options, *args, **kwargs)
        finally:
            edit.give(before)

    def inject(self, patcher: Any) -> None:
        """Installs the hooks; called by the host when the model is loaded."""
        unet = unet_of(patcher)
        self._owners[unet] = weakref.ref(patcher)
        places = unet_places(unet)
        networks = patcher.get_additional_models_with_key(self._key) if self.has_network else [None]
        for network in networks:
            self.of(unet).install(network and network.model, places)

    def eject(self, patcher: Any) -> None:
        """Removes the hooks if this patcher owns them; called by the host."""
        unet = patcher.model.diffusion_model
        owner = self._owners.get(unet)
        if owner and owner() in (patcher, None):  # None: the owner was collected in a reference cycle
            self.of(unet).remove()

    def of(self, unet: nn.Module) -> Edit[Inputs]:
        """The edit of one UNet."""
        if unet not in self._edits:
            self._edits[unet] = self._make()
        return self._edits[unet]

    def running(self, unet: nn.Module) -> Edit[Inputs]:
        """The edit of the UNet that is running. Raises RuntimeError where another node removed its hooks."""
        edit = self.of(unet)
        if not edit.installed:
            raise RuntimeError(
                f"Zoetrope: the {self._what}'s hooks are gone although its model is sampling; the picture would be sampled "
                f"without it. Run the queue again; if this repeats, report it with the list of installed node packs."
            )
        return edit

    def apply_model(self, executor: Any, x: Tensor, t: Tensor, *args: Any, **kwargs: Any) -> Any:
        """An APPLY_MODEL wrapper: sets the range of noise levels in which the edit acts, and enables hooks in compiled code."""
        model = executor.class_obj
        options = kwargs.get("transformer_options") or next((a for a in args if isinstance(a, dict)), {})
        entry = options.get(self._key, {})
        unet = getattr(model.diffusion_model, "_orig_mod", model.diffusion_model)  # torch.compile wraps it
        start, end = entry.get("start", 0.0), entry.get("end", 1.0)
        if start > 0 or end < 1:
            sigma_at = model.model_sampling.percent_to_sigma
            self._ranges[unet] = (sigma_at(start), sigma_at(end))
        try:
            with hooks_enabled(model.diffusion_model, options):
                return executor(x, t, *args, **kwargs)
        finally:
            self._ranges.pop(unet, None)

    def active(self, unet: nn.Module, options: Mapping[str, Any]) -> Strength:
        """1 in the range of noise levels, else 0; one value per frame `(f, 1, 1)` where only some frames are in the range."""
        sigma = options.get(LEVELS, options.get("sigmas"))
        if unet not in self._ranges or sigma is None:
            return 1.0
        first, last = self._ranges[unet]
        within = ((sigma <= first) & (sigma > last)).flatten()
        if bool((within == within[0]).all()):
            return float(within[0])
        return within.to(torch.float32).reshape(-1, 1, 1)
