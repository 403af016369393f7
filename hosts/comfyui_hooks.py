"""The hooks of one applied motion module: put in and taken out by the host, told before each UNet call what clip they see."""

import logging
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import comfy.ldm.modules.attention as comfy_attention
import comfy.model_management
import torch
from torch import Tensor, nn

from ..models.attention import AttentionFunction
from ..models.dial import Dial, for_rows, is_zero
from ..models.injection import Injection, frames_per_clip
from ..models.motion import MotionModule
from ..models.report import Report
from ..models.temporal import Clip
from .comfyui_unet import unet_of, unet_places

log = logging.getLogger(__name__)

WINDOWS = "zoetrope.windows"
"""In `transformer_options`: a wrapper of ours shows the model a part of the clip at a time."""


class Hooks:
    """In every UNet that clones of the patched model run (newer hosts clone a model onto another device).

    Hooks have an owner: clone() copies the host's is_injected flag and a patcher ejects when it is collected, so without the
    guard any clone that dies during sampling would leave the rest of the frames without motion, silently.
    """

    def __init__(self, key: str, module: MotionModule, report: Report):
        self._key = key
        self._module = module
        self._report = report
        self._injections: weakref.WeakKeyDictionary[nn.Module, Injection] = weakref.WeakKeyDictionary()
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

    def of(self, unet: nn.Module) -> Injection:
        """The injection in one UNet."""
        return self._injections.setdefault(unet, Injection())

    def check_length(self, executor: Any, noise: Tensor, latent: Any, sampler: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuses impossible clips before any model is loaded, and says what to expect of unusual ones."""
        options = executor.class_obj.model_options
        own = options.get("transformer_options", {}).get(self._key, {})
        # windows choose the clip themselves; each call is checked as well
        windows = options.get("context_handler") or WINDOWS in options.get("transformer_options", {})
        windows = windows or getattr(sampler, "has_own_windows", False)
        if not is_zero(own.get("strength", 0)) and not windows:
            clip = frames_per_clip(len(noise), 1, own.get("frames", 0))
            self._module.check_frames(clip, own.get("beyond", "refuse"))
            trained = self._report.variant.frames
            if clip < trained:
                log.warning(
                    "Zoetrope: %s was trained on clips of %d frames, this one has %d: expect weaker or broken motion. "
                    "Set the latent's batch size to %d.",
                    self._report.file, trained, clip, trained,
                )  # fmt: skip
        return executor(noise, latent, sampler, *args, **kwargs)

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

    def run(self, executor: Any, x: Tensor, timesteps: Tensor, context: Any = None, y: Any = None, control: Any = None,
            transformer_options: Any = None, *args: Any, **kwargs: Any) -> Any:  # fmt: skip
        """Tells the hooks, for the time of one UNet call, what clip they see."""
        options = transformer_options or {}
        comfy.model_management.throw_exception_if_processing_interrupted()
        unet, own = executor.class_obj, options.get(self._key, {})
        clip = self._clip(x, context, options, own, self._active(unet, options))
        injection = self.of(unet)  # the UNet that is running
        if clip and not injection.installed:
            raise RuntimeError(
                "Zoetrope: the motion module's hooks are gone although its model is sampling; the picture would lose its "
                "motion silently. Run the queue again; if this repeats, report it with the list of installed node packs."
            )
        before = injection.start(clip, x.shape[0], own.get("levels"))
        try:
            return executor(x, timesteps, context, y, control, options, *args, **kwargs)
        finally:
            injection.start(*before)

    def _clip(self, x: Tensor, context: Any, options: Mapping[str, Any], own: Mapping[str, Any], active: Dial) -> Clip | None:
        strength = own.get("strength", 0)
        if is_zero(strength) or is_zero(active):
            return None
        chunks = len(options.get("cond_or_uncond", (0,)))
        frames = frames_per_clip(x.shape[0], chunks, own.get("frames", 0))
        window = getattr(options.get("context_window"), "index_list", None)
        here = (x.shape[0], frames, chunks, window)
        strength, amount = (for_rows(n, v, *here) for n, v in (("strength", strength), ("amount", own.get("amount", 1.0))))
        strength = strength * (
            active if not isinstance(active, Tensor) else for_rows("range", active, *here).to(_device(strength))
        )
        beyond = own.get("beyond", "refuse")
        self._module.check_frames(frames, beyond)
        return Clip(
            frames, strength, context, _host_attention(options), amount=amount,
            fps=own.get("fps") or self._module.fps, beyond=beyond, size=(x.shape[-2], x.shape[-1]),
        )  # fmt: skip

    def _active(self, unet: nn.Module, options: Mapping[str, Any]) -> Dial:
        """1 between start and end, else 0; one of them per frame `(f, 1, 1)` where noise levels differ from frame to frame."""
        sigma = options.get("sigmas")
        if unet not in self._ranges or sigma is None:
            return 1.0
        first, last = self._ranges[unet]
        within = ((sigma <= first) & (sigma > last)).flatten()
        if bool((within == within[0]).all()):
            return float(within[0])
        return within.to(torch.float32).reshape(-1, 1, 1)


def _device(dial: Dial) -> Any:
    return dial.device if isinstance(dial, Tensor) else None


def _host_attention(options: Mapping[str, Any]) -> AttentionFunction:
    """The attention the user started the host with (xformers, sdpa, sage, ...), overrides of other nodes included."""

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        if bias is None:
            return comfy_attention.optimized_attention(q, k, v, heads, transformer_options=options)
        return comfy_attention.optimized_attention_masked(q, k, v, heads, mask=bias, transformer_options=options)

    return attention
