"""The hooks of one applied motion module: installed and removed by the host, with inputs for each UNet call."""

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
    joins_frames = True

    def __init__(self, key: str, module: MotionModule, report: Report):
        super().__init__(key, "motion", TemporalEdit)
        self._module = module
        self._report = report

    def sample(self, executor: Any, noise: Tensor, latent: Any, sampler: Any, *args: Any, **kwargs: Any) -> Any:
        """An OUTER_SAMPLE wrapper: raises ValueError for clips that are too long, and warns of short ones."""
        options = executor.class_obj.model_options
        entry = options.get("transformer_options", {}).get(self._key, {})
        # windows set the clip length; each call is checked as well
        windows = options.get("context_handler") or WINDOWS in options.get("transformer_options", {})
        windows = windows or getattr(sampler, "has_own_windows", False)
        if not is_zero(entry.get("strength", 0)) and not windows:
            clip = frames_per_clip(len(noise), 1, entry.get("frames", 0))
            self._module.check_frames(clip, entry.get("beyond", "refuse"))
            trained = self._report.variant.frames
            if clip < trained:
                log.warning(
                    "Zoetrope: %s was trained on clips of %d frames, this one has %d: expect weaker or broken motion. "
                    "Set the latent's batch size to %d.",
                    self._report.file, trained, clip, trained,
                )  # fmt: skip
        self._warn_of_replaced_attentions(options.get("transformer_options", {}))
        return executor(noise, latent, sampler, *args, **kwargs)

    def _warn_of_replaced_attentions(self, transformer_options: Mapping[str, Any]) -> None:
        replaced = transformer_options.get("patches_replace", {}).get("attn1", {}).values()
        if self._module.sparse_causal and replaced:
            names = sorted({getattr(one, "__qualname__", type(one).__name__).partition(".")[0] for one in replaced})
            log.warning(
                "Zoetrope: %s replaces self-attentions of this MODEL; %s is disabled there, and each frame attends to itself",
                ", ".join(names), self._report.name,
            )  # fmt: skip

    def inputs(self, call: UnetCall) -> TemporalInputs | None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        clip = self._clip(call, self.active(call.unet, call.options))
        return clip and TemporalInputs(clip, call.x.shape[0], call.entry.get("levels") or {})

    def _clip(self, call: UnetCall, active: Strength) -> TemporalContext | None:
        entry, x = call.entry, call.x
        strength = entry.get("strength", 0)
        if is_zero(strength) or is_zero(active):
            return None
        frames = frames_per_clip(x.shape[0], call.chunks, entry.get("frames", 0))
        rows = (x.shape[0], frames, call.chunks, window_of(call.options))
        values = (("strength", strength), ("amount", entry.get("amount", 1.0)))
        strength, amount = (self._cropped(for_rows(name, value, *rows), call) for name, value in values)
        if isinstance(active, Tensor):
            active = for_rows("range", active, *rows)
            active = active.to(strength.device if isinstance(strength, Tensor) else active.device)
        beyond = entry.get("beyond", "refuse")
        self._module.check_frames(frames, beyond)
        return TemporalContext(
            frames, strength * active, call.context, host_attention(call.options), amount=amount,
            fps=entry.get("fps") or self._module.fps, beyond=beyond, size=(x.shape[-2], x.shape[-1]),
        )  # fmt: skip

    def _cropped(self, value: Strength, call: UnetCall) -> Strength:
        """A mask `(b f) h w` cropped to the region of each part of the call; other values as they are."""
        if not isinstance(value, Tensor) or value.shape[1:] == (1, 1):
            return value
        regions = regions_of(call.options, call.chunks, call.x.shape[-2:])
        if all(region.is_whole for region in regions):
            return value
        return torch.cat([region.cut(part) for region, part in zip(regions, value.chunk(call.chunks), strict=True)])
