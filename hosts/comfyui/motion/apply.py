"""Motion modules in ComfyUI: loading, motion LoRAs, and applying to a MODEL as an additional model with forward hooks.

Nothing of the host is replaced. A patched MODEL is a clone with three additions under one key: the temporal layers as an
additional model (loaded and moved by the host), an injection that installs and removes their hooks, and plain data in
`transformer_options`, which later nodes may read or change. Needs ComfyUI 0.3.64 or later; docs/hosts.md lists the host's
interfaces that are used.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.model_management
import comfy.ops
import torch
from torch import Tensor

from ....models.edits.hooks import EVERY_EDIT_READS
from ....models.edits.temporal import TemporalEdit
from ....models.errors import DoesNotFit
from ....models.formats.strict import in_file
from ....models.layers.positions import Beyond
from ....models.layers.strength import Strength, check_levels, check_strength, is_zero, where
from ....models.motion.families.animatediff.lora import MotionLora, factors_for
from ....models.motion.frame_guide_networks import guide_network
from ....models.motion.loading import OpenedFile, open_file
from ....models.motion.module import MotionModule
from ....models.motion.report import Report
from ..call import MOTION, free_key
from ..patching import check_range
from ..rebuild import patcher_for, rebuilt_by
from ..unet import base_of_unet, unet_of, unet_places
from .hooks import MotionHooks
from .lora import LoraByFrame, add_by_frame, has_lora_by_frame, lora_by_frame
from .schedule import FAMILY, MODEL, set_named, set_schedule

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HostMotion:
    """A motion module with the host's patcher."""

    patcher: Any
    report: Report
    path: Path
    loras: tuple[tuple[MotionLora, float], ...] = ()
    """Motion LoRAs applied to the patcher, each with its strength."""
    spatial: tuple[tuple[MotionLora, float], ...] = ()
    """LoRAs for the image model that are applied with the module (v3's domain adapter), each with its strength."""
    by_frame: tuple[LoraByFrame, ...] = ()
    """Motion LoRAs with a strength by frame, which are added by hooks."""
    guide: Any = None
    """ModelPatcher of the network for given frames (models/motion/frame_guide_networks.py); None where the file has none."""


@dataclass(frozen=True)
class Settings:
    """Settings of an applied motion module; plain data only."""

    strength: Strength = 1.0
    """0: the host's output bit for bit, 1: as published; a number or `(f or 1, h or 1, w or 1)`."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """Prefixes of sites -> factor of the strength there."""
    amount: Strength = 1.0
    """Amount of motion: multiplies the keys of attention over frames."""
    amount_mask: Tensor | None = None
    """Mask of `amount` `(f or 1, h, w)`; outside it the amount is 1."""
    frames: int = 0
    """Frames per clip; 0: the whole batch is one clip."""
    start: float = 0.0
    """Share of the sampling at which the module begins to act."""
    end: float = 1.0
    """Share of the sampling at which it ends."""
    beyond: Beyond = "refuse"
    """How positions are computed for clips longer than the module was trained on."""
    fps: float = 0.0
    """Frames per second, for families conditioned on it; 0: the family's default."""
    schedule: str = FAMILY
    """Noise schedule: the family's (`FAMILY`), the model's (`MODEL`), or a name in `sampling.schedule.NAMED`."""
    scaled: bool = True
    """Whether the family's schedule includes VideoCrafter's scaled latents."""
    prediction: str | None = None
    """`eps` or `v` where the image model's weights are the family's; None: as the MODEL predicts."""

    def __post_init__(self) -> None:
        check_strength("strength", self.strength)
        check_strength("amount", self.amount)
        check_range(self.start, self.end)


OPTIONS = (*EVERY_EDIT_READS, *TemporalEdit.reads)
"""Names of settings that go into `transformer_options` and are read at every call."""


def load(path: str) -> HostMotion:
    """Reads a motion file with the host's leaf layers, which cast weights to the dtype and device of each call."""
    return host_motion(open_file(path, comfy.ops.manual_cast), path)


def host_motion(opened: OpenedFile, path: str) -> HostMotion:
    """Wraps the temporal layers of an opened file in the host's patchers, and logs the file's notes."""
    for line in opened.report.notes:
        log.info("Zoetrope: %s: %s", opened.report.file, line)
    for note in opened.report.variant.notes:
        log.warning("Zoetrope: %s: %s", opened.report.file, note)
    motion = rebuilt_by(patcher_for(opened.motion.to(_stored(opened.report))), _reload_motion, path)
    network = _guide_of(opened)
    guide = network and rebuilt_by(patcher_for(network), _reload_guide, path)
    return HostMotion(motion, opened.report, Path(path), guide=guide)


def _guide_of(opened: OpenedFile) -> Any:
    """The network for given frames; None where the file has none."""
    guide = opened.report.variant.guide
    if guide is None:
        return None
    with in_file(opened.report.file):
        return guide_network(guide, opened.parts.get("image", {}), comfy.ops.manual_cast)


def _reload_motion(path: str, disable_dynamic: bool = False) -> Any:
    opened = open_file(path, comfy.ops.manual_cast)
    return patcher_for(opened.motion.to(_stored(opened.report)), disable_dynamic)


def _reload_guide(path: str, disable_dynamic: bool = False) -> Any:
    return patcher_for(_guide_of(open_file(path, comfy.ops.manual_cast)), disable_dynamic)


def _stored(report: Report) -> torch.dtype | None:
    """The dtype to store float32 files in: half precision where the host would use it for a UNet; None keeps the file's."""
    if report.dtypes != ("float32",):
        return None
    half = [torch.float16, torch.bfloat16]
    chosen = comfy.model_management.unet_dtype(
        model_params=report.parameters, supported_dtypes=[*half, torch.float32], weight_dtype=torch.float32
    )
    return chosen if chosen in half else None


def with_lora(motion: HostMotion, lora: MotionLora, strength: Strength) -> HostMotion:
    """The module with a LoRA, as weight patches; a LoRA for the image model is stored until the module is applied.

    A strength by frame `(f, 1, 1)` cannot be a weight patch: the LoRA is stored and added by hooks.
    """
    for line in lora.notes:
        log.info("Zoetrope: %s: %s", lora.file, line)
    if isinstance(strength, Tensor):
        return _with_lora_by_frame(motion, lora, strength)
    if lora.spatial:
        log.info("Zoetrope: %s is a LoRA for the image model; it is applied to that", lora.file)
        return replace(motion, spatial=(*motion.spatial, (lora, strength)))
    factors = factors_for(motion.patcher.model, lora)
    weights = {f"{key}.lora_down.weight": down for key, (down, _) in factors.items()}
    weights |= {f"{key}.lora_up.weight": up for key, (_, up) in factors.items()}
    patcher = motion.patcher.clone()
    done = patcher.add_patches(comfy.lora.load_lora(weights, {key: key for key in factors}, log_missing=False), strength)
    if len(done) != len(factors):
        raise RuntimeError(f"Zoetrope: the host patched {len(done)} of {len(factors)} weights of {lora.file}")
    return replace(motion, patcher=patcher, loras=(*motion.loras, (lora, strength)))


def _with_lora_by_frame(motion: HostMotion, lora: MotionLora, strength: Tensor) -> HostMotion:
    if lora.spatial:
        raise DoesNotFit(
            f"{lora.file} is a LoRA for the image model, which Apply Motion LoRA applies with one strength for all frames. "
            "Clear strength_by_frame, or copy the file to models/loras and use LoRA by Frame."
        )
    made = lora_by_frame(factors_for(motion.patcher.model, lora), strength)
    return motion if is_zero(strength) else replace(motion, by_frame=(*motion.by_frame, made))


def apply(model: Any, motion: HostMotion, settings: Settings) -> Any:
    """A clone of MODEL with the motion module. Raises DoesNotFit where the module was made for another base model."""
    unet = unet_of(model)
    places = unet_places(unet)
    module: MotionModule = motion.patcher.model
    module.check_fit(places.widths)
    _check_base(motion.report, base_of_unet(unet, places))
    patched = model.clone()
    if is_zero(settings.strength):
        return patched
    check_levels(settings.levels, module.widths)
    motion = _unshared(patched, motion)
    for lora, strength in motion.spatial:
        _add_spatial(patched, lora, strength)
    if settings.schedule == FAMILY:
        set_schedule(patched, motion.report.variant, settings.prediction, settings.scaled)
    elif settings.schedule != MODEL:
        set_named(patched, settings.schedule)
    _inject(patched, motion, settings)
    return patched


def _unshared(patched: Any, motion: HostMotion) -> HostMotion:
    """The motion module, loaded once more where the MODEL has it already with other LoRAs.

    The host patches weights in place, so both applications would run with the LoRAs of the last one; hooks would add LoRAs by
    frame to both.
    """
    models = [(key, one) for key, held in patched.additional_models.items() for one in held]
    same = {key: one for key, one in models if one.model is motion.patcher.model}
    if same:
        log.warning("Zoetrope: %s is applied to this MODEL twice", motion.report.file)
    hooked = same and (motion.by_frame or any(has_lora_by_frame(patched, key) for key in same))
    if not hooked and all(other.patches_uuid == motion.patcher.patches_uuid for other in same.values()):
        return motion
    fresh = replace(load(str(motion.path)), spatial=motion.spatial, by_frame=motion.by_frame)
    for lora, strength in motion.loras:
        fresh = with_lora(fresh, lora, strength)
    return fresh


def _check_base(report: Report, base: Any) -> None:
    """Raises DoesNotFit for another base model: widths alone do not distinguish Stable Diffusion 1.x and 2.x."""
    if base and report.fits and base.name not in report.fits:
        fits = " or ".join(report.fits)
        raise DoesNotFit(
            f"{report.file} is {report.name}, made for {fits}, but this MODEL is {base.name}. "
            f"Load a checkpoint of {fits}, or a motion module for {base.name}."
        )


def _add_spatial(patched: Any, lora: MotionLora, strength: float) -> None:
    names = comfy.lora.model_lora_keys_unet(patched.model, {})
    done = patched.add_patches(comfy.lora.load_lora(dict(lora.spatial), names, log_missing=False), strength)
    if 2 * len(done) != len(lora.spatial):
        raise DoesNotFit(
            f"{lora.file}: {len(done)} of the {len(lora.spatial) // 2} weights of this image LoRA are in this MODEL; "
            "v3's domain adapter is made for SD1.x checkpoints"
        )


def _inject(patched: Any, motion: HostMotion, settings: Settings) -> None:
    options = patched.model_options["transformer_options"]
    key = free_key(MOTION, options)
    entry = {name: getattr(settings, name) for name in OPTIONS}
    entry["amount"] = where(settings.amount_mask, settings.amount)
    MotionHooks(key, motion.patcher.model, motion.report).add_to(patched, motion.patcher, entry)
    for lora in motion.by_frame:
        add_by_frame(patched, key, lora)
