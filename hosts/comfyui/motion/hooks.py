"""The hooks of one applied motion module: put in and taken out by the host, told before each UNet call what clip they see."""

import logging
from collections.abc import Mapping
from typing import Any

import comfy.model_management
from torch import Tensor

from ....models.edits.temporal import Injection, frames_per_clip
from ....models.layers.strength import Dial, for_rows, is_zero
from ....models.layers.temporal import Clip
from ....models.motion.module import MotionModule
from ....models.motion.report import Report
from ..call import WINDOWS, host_attention, window_of
from ..patching import Owned

log = logging.getLogger(__name__)


class Hooks(Owned[Injection]):
    """The hooks of one applied motion module."""

    def __init__(self, key: str, module: MotionModule, report: Report):
        super().__init__(key, "motion", Injection)
        self._module = module
        self._report = report

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

    def run(self, executor: Any, x: Tensor, timesteps: Tensor, context: Any = None, y: Any = None, control: Any = None,
            transformer_options: Any = None, *args: Any, **kwargs: Any) -> Any:  # fmt: skip
        """Tells the hooks, for the time of one UNet call, what clip they see."""
        options = transformer_options or {}
        comfy.model_management.throw_exception_if_processing_interrupted()
        unet, own = executor.class_obj, options.get(self._key, {})
        clip = self._clip(x, context, options, own, self.active(unet, options))
        injection = self.at_work(unet) if clip else self.of(unet)
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
        here = (x.shape[0], frames, chunks, window_of(options))
        strength, amount = (for_rows(n, v, *here) for n, v in (("strength", strength), ("amount", own.get("amount", 1.0))))
        strength = strength * (
            active if not isinstance(active, Tensor) else for_rows("range", active, *here).to(_device(strength))
        )
        beyond = own.get("beyond", "refuse")
        self._module.check_frames(frames, beyond)
        return Clip(
            frames, strength, context, host_attention(options), amount=amount,
            fps=own.get("fps") or self._module.fps, beyond=beyond, size=(x.shape[-2], x.shape[-1]),
        )  # fmt: skip


def _device(dial: Dial) -> Any:
    return dial.device if isinstance(dial, Tensor) else None
