"""Edits of the host's UNets: hooks that the host installs and removes, and that act in a range of noise levels."""

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
from .previews import add_previews
from .regions import record_regions
from .unet import unet_of, unet_places


def check_range(start: float, end: float) -> None:
    """Raises ValueError unless 0 <= start <= end <= 1 (fractions of the sampling)."""
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
    """The edit's entry in the options; empty if a node removed it."""
    unet: nn.Module

    @property
    def chunks(self) -> int:
        """Equal parts of the batch, one per conditioning."""
        return len(self.options.get("cond_or_uncond", (0,)))


class HostEdit(ABC, Generic[Inputs]):
    """An edit of a MODEL: one `Edit` per UNet, because newer hosts clone a model onto another device.

    Only the patcher that installed the hooks removes them. clone() copies the host's is_injected flag, and a patcher ejects
    when it is garbage-collected: without this rule, collecting a clone during sampling would silently remove the hooks.
    """

    uses_regions: ClassVar[bool] = False
    """Whether inputs depend on the position in the picture (masks, given frames), and are cropped for areas and tiles."""
    joins_frames: ClassVar[bool] = False
    """Whether it makes the rows of a batch frames of one clip, for which the editor gets moving previews."""
    has_network: ClassVar[bool] = True
    """Whether it has weights of its own, which the host loads as an additional model."""

    def __init__(self, key: str, what: str, make: Callable[[], Edit[Inputs]]):
        """key: key of the additional model and of the options; what: name of the edit in messages; make: creates the edit."""
        self._key = key
        self._what = what
        self._make = make
        self._edits: weakref.WeakKeyDictionary[nn.Module, Edit[Inputs]] = weakref.WeakKeyDictionary()
        self._owners: weakref.WeakKeyDictionary[nn.Module, Callable[[], Any]] = weakref.WeakKeyDictionary()
        self._ranges: weakref.WeakKeyDictionary[nn.Module, tuple[float, float]] = weakref.WeakKeyDictionary()

    @abstractmethod
    def inputs(self, call: UnetCall) -> Inputs | None:
        """Inputs of the edit for this call; None where the edit does not act."""

    def add_to(self, patched: Any, patcher: Any | None, options: Mapping[str, Any]) -> None:
        """Adds the edit to a MODEL: its network as an additional model, its options under its key, hooks and wrappers."""
        patched.model_options["transformer_options"][self._key] = options
        if patcher is not None:
            patched.set_additional_models(self._key, [patcher.clone()])  # a clone: each model has a loading state of its own
        patched.set_injections(self._key, [PatcherInjection(self.inject, self.eject)])
        wrap_model(patched, WrappersMP.OUTER_SAMPLE, self._key, self._sample)
        wrap_model(patched, WrappersMP.DIFFUSION_MODEL, self._key, self.run)
        wrap_model(patched, WrappersMP.APPLY_MODEL, self._key, self.apply_model)
        if self.uses_regions:
            record_regions(patched)
        if self.joins_frames:
            add_previews(patched)

    def _sample(self, executor: Any, noise: Any, *args: Any, **kwargs: Any) -> Any:
        check_latent(noise, executor.class_obj.model_patcher)
        return self.sample(executor, noise, *args, **kwargs)

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """An OUTER_SAMPLE wrapper for checks once per run, before any model is loaded."""
        return executor(*args, **kwargs)

    def run(self, executor: Any, x: Tensor, timesteps: Tensor, context: Any = None, y: Any = None, control: Any = None,
            transformer_options: Any = None, *args: Any, **kwargs: Any) -> Any:  # fmt: skip
        """A DIFFUSION_MODEL wrapper: sets the edit's inputs for one call of the UNet."""
        options, unet = transformer_options or {}, executor.class_obj
        inputs = self.inputs(UnetCall(x, context, options, options.get(self._key) or {}, unet))
        edit = self.edit_of(unet) if inputs is None else self.installed_edit(unet)
        before = edit.give(inputs)
        try:
            return executor(x, timesteps, context, y, control, options, *args, **kwargs)
        finally:
            edit.give(before)

    def inject(self, patcher: Any) -> None:
        """Installs the hooks. The host calls it when the model is loaded."""
        unet = unet_of(patcher)
        self._owners[unet] = weakref.ref(patcher)
        places = unet_places(unet)
        for network in self.networks(patcher):
            self.edit_of(unet).install(network, places)

    def networks(self, patcher: Any) -> list[Any]:
        """The edit's network in a MODEL; None in its place where the edit has none."""
        return [held.model for held in patcher.get_additional_models_with_key(self._key)] if self.has_network else [None]

    def eject(self, patcher: Any) -> None:
        """Removes the hooks if this patcher installed them. The host calls it when a patcher is unloaded or collected."""
        unet = patcher.model.diffusion_model
        owner = self._owners.get(unet)
        if owner and owner() in (patcher, None):  # None: the owner was garbage-collected before this call
            self.edit_of(unet).remove()

    def edit_of(self, unet: nn.Module) -> Edit[Inputs]:
        """The edit of one UNet."""
        if unet not in self._edits:
            self._edits[unet] = self._make()
        return self._edits[unet]

    def installed_edit(self, unet: nn.Module) -> Edit[Inputs]:
        """The edit of a UNet that is running. Raises RuntimeError if something else removed its hooks."""
        edit = self.edit_of(unet)
        if not edit.installed:
            raise RuntimeError(
                f"Zoetrope: the hooks of the {self._what} were removed during sampling, so that it would have no effect. "
                f"Run the queue again; if this repeats, report it with the list of installed node packs."
            )
        return edit

    def apply_model(self, executor: Any, x: Tensor, t: Tensor, *args: Any, **kwargs: Any) -> Any:
        """An APPLY_MODEL wrapper: sets the range of noise levels in which the edit acts, and enables hooks in compiled code."""
        model = executor.class_obj
        options = kwargs.get("transformer_options") or next((a for a in args if isinstance(a, dict)), {})
        entry = options.get(self._key, {})
        unet = getattr(model.diffusion_model, "_orig_mod", model.diffusion_model)  # the UNet inside torch.compile's wrapper
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
        """1 in the range of noise levels, else 0; `(f, 1, 1)`, one value per frame, where only some frames are in the range."""
        sigma = options.get(LEVELS, options.get("sigmas"))
        if unet not in self._ranges or sigma is None:
            return 1.0
        first, last = self._ranges[unet]
        within = ((sigma <= first) & (sigma > last)).flatten()
        if bool((within == within[0]).all()):
            return float(within[0])
        return within.to(torch.float32).reshape(-1, 1, 1)
