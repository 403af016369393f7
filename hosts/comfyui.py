"""ComfyUI as host: motion modules as additional models, run by guarded forward hooks. Only `comfyui*.py` import comfy.

Nothing of the host is replaced. A patched MODEL is a clone with three additions under one key: the temporal layers as an
additional model (loaded, counted and moved by the host), an injection that hooks and unhooks them, and plain numbers in
`transformer_options`, where any node downstream may read or change them. Works on ComfyUI 0.3.64 and later; the public
hooks used here are listed in docs/hosts.md.
"""

import copy
import logging
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.ldm.modules.attention as comfy_attention
import comfy.model_management
import comfy.model_patcher
import comfy.model_sampling
import comfy.ops
import torch
from comfy.ldm.modules.diffusionmodules.openaimodel import Downsample, ResBlock, Upsample, VideoResBlock
from comfy.patcher_extension import PatcherInjection, WrappersMP
from torch import Tensor, nn

from ..models.attention import AttentionFunction
from ..models.family import NoiseSchedule
from ..models.injection import Injection, frames_per_clip
from ..models.loading import Report, load_motion
from ..models.motion import MotionModule
from ..models.sites import Site
from ..models.temporal import Clip
from ..sampling.schedule import betas, discrete_sigmas

KEY = "zoetrope.motion"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HostMotion:
    """A motion module in the host's hands."""

    patcher: Any
    report: Report


def load(path: str) -> HostMotion:
    """Reads a motion file with the host's leaf layers, which cast weights to the dtype and device of each call."""
    motion, report = load_motion(path, comfy.ops.manual_cast)
    for note in report.variant.notes:
        log.warning("Zoetrope: %s: %s", report.file, note)
    # newer hosts stream weights through a kind of their own
    patcher = getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)
    devices = {
        "load_device": comfy.model_management.get_torch_device(),
        "offload_device": comfy.model_management.unet_offload_device(),
    }
    return HostMotion(patcher(motion, **devices), report)


def apply(model: Any, motion: HostMotion, strength: float, frames: int, own_schedule: bool) -> Any:
    """A clone of MODEL that runs the motion module.

    strength      0 gives the host's output bit for bit, 1 the family as published
    frames        frames per clip; 0: the whole batch is one clip
    own_schedule  whether to sample with the noise schedule that the family was trained with
    Raises ValueError where the module does not fit this model.
    """
    places = unet_places(unet_of(model))
    module: MotionModule = motion.patcher.model
    module.check_fit({site: width for site, (_, width) in places.items()})
    patched = model.clone()
    if strength == 0:
        return patched
    if own_schedule and motion.report.variant.schedule:
        _set_schedule(patched, motion.report.variant.schedule)
    _inject(patched, motion, module, strength, frames)
    return patched


def unet_of(model: Any) -> nn.Module:
    """The model's Stable Diffusion UNet. Raises ValueError for other architectures."""
    unet = model.model.diffusion_model
    if not (hasattr(unet, "input_blocks") and hasattr(unet, "output_blocks")):
        raise ValueError(
            f"motion modules go into the UNet of Stable Diffusion 1.x, 2.x or XL, but this MODEL is a "
            f"{type(model.model).__name__} ({type(unet).__name__}). Load an SD1.x, SD2.x or SDXL checkpoint."
        )
    if any(isinstance(module, VideoResBlock) for module in unet.modules()):
        raise ValueError("this MODEL is a video model with temporal layers of its own (SVD); load an image checkpoint instead")
    return unet


def unet_places(unet: Any) -> dict[Site, tuple[nn.Module, int]]:
    """Site -> the UNet's own module there and its width in channels, in the order in which they run."""
    places: dict[Site, tuple[nn.Module, int]] = {"input": (unet.input_blocks[0][0], unet.model_channels)}
    level = block = 0
    for layers in list(unet.input_blocks)[1:]:
        if isinstance(layers[0], Downsample):
            level, block = level + 1, 0
            continue
        places |= _block(f"down.{level}.{block}", layers)
        block += 1
    if unet.middle_block is not None and len(unet.middle_block) == 3:
        first, attention, second = unet.middle_block
        width = first.out_channels
        places |= {"mid.0.resnet": (first, width), "mid.attention": (attention, width), "mid.1.resnet": (second, width)}
    level = block = 0
    for layers in unet.output_blocks:
        places |= _block(f"up.{level}.{block}", layers)
        block += 1
        if any(isinstance(layer, Upsample) for layer in layers):
            level, block = level + 1, 0
    return places


def _block(name: str, layers: Any) -> dict[Site, tuple[nn.Module, int]]:
    places: dict[Site, tuple[nn.Module, int]] = {}
    for layer in layers:
        if isinstance(layer, ResBlock):
            places[f"{name}.resnet"] = places[f"{name}.out"] = (layer, layer.out_channels)
        elif isinstance(layer, comfy_attention.SpatialTransformer):
            places[f"{name}.attention"] = places[f"{name}.out"] = (layer, layer.in_channels)
    return places


def _inject(patched: Any, motion: HostMotion, module: MotionModule, strength: float, frames: int) -> None:
    options = patched.model_options["transformer_options"]
    key = next(name for n in range(len(options) + 1) if (name := f"{KEY}.{n}") not in options)  # several may share one model
    options[key] = {"strength": strength, "frames": frames}
    hooks = Hooks(key)
    patched.set_additional_models(key, [motion.patcher.clone()])  # a clone: loading state belongs to one model each
    patched.set_injections(key, [PatcherInjection(hooks.inject, hooks.eject)])
    patched.add_wrapper_with_key(WrappersMP.PREPARE_SAMPLING, key, _check_length(motion.report, module, key))
    patched.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, key, _run_clips(hooks, module, key))


class Hooks:
    """The hooks of one applied motion module, in every UNet its clones run (newer hosts clone a model onto another device).

    Hooks have an owner: clone() copies the host's is_injected flag and a patcher ejects when it is collected, so without the
    guard any clone that dies during sampling would leave the rest of the frames without motion, silently.
    """

    def __init__(self, key: str):
        self._key = key
        self._injections: weakref.WeakKeyDictionary[nn.Module, Injection] = weakref.WeakKeyDictionary()
        self._owners: weakref.WeakKeyDictionary[nn.Module, Callable[[], Any]] = weakref.WeakKeyDictionary()

    def inject(self, patcher: Any) -> None:
        unet = unet_of(patcher)
        self._owners[unet] = weakref.ref(patcher)
        places = {site: place for site, (place, _) in unet_places(unet).items()}
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


def _check_length(report: Report, module: MotionModule, key: str) -> Callable[..., Any]:
    """Refuses impossible clips before any model is loaded, and says what to expect of unusual ones."""

    def prepare(executor: Any, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any) -> Any:
        options = kwargs.get("model_options") or (args[0] if args else None) or {}
        own = options.get("transformer_options", {}).get(key, {})
        # context windows choose the clip themselves; each call is checked as well
        if own.get("strength", 0) != 0 and not options.get("context_handler"):
            clip = frames_per_clip(noise_shape[0], 1, own.get("frames", 0))
            module.check_frames(clip)
            if clip < report.variant.frames:
                log.warning(
                    "Zoetrope: %s was trained on clips of %d frames, this one has %d: expect weaker or broken motion. "
                    "Set the latent's batch size to %d.",
                    report.file, report.variant.frames, clip, report.variant.frames,
                )  # fmt: skip
        return executor(model, noise_shape, conds, *args, **kwargs)

    return prepare


def _run_clips(hooks: Hooks, module: MotionModule, key: str) -> Callable[..., Any]:
    """Tells the hooks, for the time of one UNet call, what clip they see."""

    def run(executor: Any, x: Tensor, timesteps: Tensor, context: Any = None, y: Any = None, control: Any = None,
            transformer_options: Any = None, *args: Any, **kwargs: Any) -> Any:  # fmt: skip
        options = transformer_options or {}
        comfy.model_management.throw_exception_if_processing_interrupted()
        clip = _clip(x, context, options, options.get(key, {}), module)
        injection = hooks.of(executor.class_obj)  # the UNet that is running
        if clip and not injection.installed:
            raise RuntimeError(
                "Zoetrope: the motion module's hooks are gone although its model is sampling; the picture would lose its "
                "motion silently. Run the queue again; if this repeats, report it with the list of installed node packs."
            )
        before = injection.start(clip)
        try:
            return executor(x, timesteps, context, y, control, options, *args, **kwargs)
        finally:
            injection.start(before)

    return run


def _clip(x: Tensor, context: Any, options: Mapping[str, Any], own: Mapping[str, Any], module: MotionModule) -> Clip | None:
    strength = own.get("strength", 0)
    if strength == 0:
        return None
    frames = frames_per_clip(x.shape[0], len(options.get("cond_or_uncond", (0,))), own.get("frames", 0))
    module.check_frames(frames)
    return Clip(frames=frames, strength=strength, context=context, attention=_host_attention(options))


def _host_attention(options: Mapping[str, Any]) -> AttentionFunction:
    """The attention the user started the host with (xformers, sdpa, sage, ...), overrides of other nodes included."""

    def attention(q: Tensor, k: Tensor, v: Tensor, heads: int, bias: Tensor | None = None) -> Tensor:
        if bias is None:
            return comfy_attention.optimized_attention(q, k, v, heads, transformer_options=options)
        return comfy_attention.optimized_attention_masked(q, k, v, heads, mask=bias, transformer_options=options)

    return attention


def _set_schedule(patched: Any, schedule: NoiseSchedule) -> None:
    """Gives the model the family's noise schedule and leaves its kind of prediction (eps, v) alone."""
    current = patched.get_model_object("model_sampling")
    discrete = isinstance(current, comfy.model_sampling.ModelSamplingDiscrete)
    if not discrete or len(current.sigmas) != schedule.steps:
        log.warning(
            "Zoetrope: the MODEL samples with %s (%d noise levels), the motion module's schedule is for Stable Diffusion's "
            "ModelSamplingDiscrete (%d); the MODEL's schedule is kept.",
            type(current).__bases__[0].__name__, len(getattr(current, "sigmas", ())), schedule.steps,
        )  # fmt: skip
        return
    sampling = copy.deepcopy(current)
    sampling.set_sigmas(discrete_sigmas(betas(schedule.curve, schedule.start, schedule.end, schedule.steps)).to(torch.float32))
    patched.add_object_patch("model_sampling", sampling)
