"""The hooks of one applied motion module: put in and taken out by the host, told before each UNet call what clip they see."""

import logging
from collections.abc import Mapping
from typing import Any

import comfy.model_management
import torch
from torch import Tensor

from ....models.edits.temporal import TemporalEdit, TemporalInputs, frames_per_clip
from ....models.layers.strength import Strength, for_rows, is_zero
from ....models.layers.temporal import TemporalContext
from ....models.motion.module import MotionModule
from ....models.motion.report import Report
from ..call import WINDOWS, host_attention, window_of
from ..patching import HostEdit, UnetCall
from ..regions import regions_of

log = logging.getLogger(__name__)


class MotionHooks(HostEdit[TemporalInputs]):
    """The hooks of one applied motion module."""

    uses_regions = True

    def __init__(self, key: str, module: MotionModule, report: Report):
        super().__init__(key, "motion", TemporalEdit)
        self._module = module
        self._report = report

    def sample(self, executor: Any, noise: Tensor, latent: Any, sampler: Any, *args: Any, **kwargs: Any) -> Any:
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
        self._say_where_it_rests(options.get("transformer_options", {}))
        return executor(noise, latent, sampler, *args, **kwargs)

    def _say_where_it_rests(self, transformer_options: Mapping[str, Any]) -> None:
        replaced = transformer_options.get("patches_replace", {}).get("attn1", {}).values()
        if self._module.sparse_causal and replaced:
            names = sorted({getattr(one, "__qualname__", type(one).__name__).partition(".")[0] for one in replaced})
            log.warning(
                "Zoetrope: %s has put a function of its own in place of self-attentions of this MODEL; %s rests there, and "
                "each frame attends to itself",
                ", ".join(names), self._report.name,
            )  # fmt: skip

    def inputs(self, call: UnetCall) -> TemporalInputs | None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        clip = self._clip(call, self.active(call.unet, call.options))
        return clip and TemporalInputs(clip, call.x.shape[0], call.own.get("levels") or {})

    def _clip(self, call: UnetCall, active: Strength) -> TemporalContext | None:
        own, x = call.own, call.x
        strength = own.get("strength", 0)
        if is_zero(strength) or is_zero(active):
            return None
        frames = frames_per_clip(x.shape[0], call.chunks, own.get("frames", 0))
        here = (x.shape[0], frames, call.chunks, window_of(call.options))
        dials = (("strength", strength), ("amount", own.get("amount", 1.0)))
        strength, amount = (self._placed(for_rows(name, dial, *here), call) for name, dial in dials)
        if isinstance(active, Tensor):
            active = for_rows("range", active, *here)
            active = active.to(strength.device if isinstance(strength, Tensor) else active.device)
        beyond = own.get("beyond", "refuse")
        self._module.check_frames(frames, beyond)
        return TemporalContext(
            frames, strength * active, call.context, host_attention(call.options), amount=amount,
            fps=own.get("fps") or self._module.fps, beyond=beyond, size=(x.shape[-2], x.shape[-1]),
        )  # fmt: skip

    def _placed(self, dial: Strength, call: UnetCall) -> Strength:
        """What of a mask `(b f) h w` lies where each part of the call does."""
        if not isinstance(dial, Tensor) or dial.shape[1:] == (1, 1):
            return dial
        places = regions_of(call.options, call.chunks, call.x.shape[-2:])
        parts = zip(places, dial.chunk(call.chunks), strict=True)
        return torch.cat([place.cut(part) for place, part in parts]) if not all(p.is_whole for p in places) else dial
