"""Noise schedules of the families as the host's sampling objects, VideoCrafter's scaled latents included."""

import copy
import logging
from dataclasses import replace
from typing import Any

import comfy.model_sampling
import torch
from torch import Tensor

from ....models.motion.family import InputScale, NoiseSchedule, Variant
from ....sampling.guidance import rescaled
from ....sampling.schedule import NAMED, betas, discrete_sigmas, scale_table, zero_terminal
from ..call import clip_frames

log = logging.getLogger(__name__)

FAMILY, MODEL = "from motion module", "keep the model's"
"""Schedules that have no name of their own."""

PREDICTIONS = {"eps": comfy.model_sampling.EPS, "v": comfy.model_sampling.V_PREDICTION}


def set_schedule(patched: Any, variant: Variant, prediction: str | None, scaled: bool) -> None:
    """Gives the model the family's noise schedule.

    prediction   `eps` or `v` where the weights of the image model are the family's own; None keeps what the model predicts
    scaled       whether the clean latents are taken as scaled, as the family was trained
    """
    if not variant.schedule or not _is_discrete(patched, variant.schedule.steps):
        return
    sampling = _predicting(patched, prediction) if prediction else _plain(patched)
    sigmas = _sigmas(_possible(variant.schedule, sampling))
    if variant.scale and scaled:
        sampling = _scaled(sampling, variant.scale, sigmas)
    else:
        sampling.set_sigmas(sigmas.to(torch.float32))
    patched.add_object_patch("model_sampling", sampling)


def set_rescale(patched: Any, share: float) -> None:
    """Rescales guidance (DynamiCrafter's published sampler: 0.7). Where another node asks for it as well, both act.

    share   0 none, 1 whole
    """
    if share > 0:
        patched.set_model_sampler_post_cfg_function(lambda args: _rescaled(args, share))


def _rescaled(args: dict[str, Any], share: float) -> Tensor:
    """The guided clean estimate, with the spread of v rescaled as in training: in the file's own variable."""
    x, sampling = args["input"], args["model"].model_sampling
    sigma = args["sigma"].to(x).reshape(-1, *[1] * (x.ndim - 1))
    scale = sampling.scale_at(args["sigma"], x) if hasattr(sampling, "scale_at") else 1.0
    own = sigma * scale  # the file's sigma, of scale * x
    total = (own**2 + 1).sqrt()

    def velocity(clean: Tensor) -> Tensor:
        return (x * scale / total**2 - clean * scale) * total / own

    clips = len(x) // clip_frames(args["model_options"].get("transformer_options", {}), len(x))
    v = rescaled(velocity(args["denoised"]), velocity(args["cond_denoised"]), share, clips)
    return (x * scale / total**2 - v * own / total) / scale


def set_named(patched: Any, name: str) -> None:
    """Gives the model a schedule by its name. Raises ValueError for names that there are not."""
    if name not in NAMED:
        raise ValueError(f"schedule: expected one of {', '.join((FAMILY, MODEL, *NAMED))}, got {name!r}")
    if _is_discrete(patched, len(NAMED[name])):
        sampling = _plain(patched)
        sampling.set_sigmas(NAMED[name].to(torch.float32))
        patched.add_object_patch("model_sampling", sampling)


def _plain(patched: Any) -> Any:
    """A copy of the model's sampling object, as it was before a scale was put around it."""
    current = patched.get_model_object("model_sampling")
    return copy.deepcopy(*getattr(current, "unscaled", (current,)))


def _possible(schedule: NoiseSchedule, sampling: Any) -> NoiseSchedule:
    """Zero terminal SNR asks for v-prediction: from pure noise, eps says nothing about the picture."""
    if not schedule.zero_terminal or isinstance(sampling, comfy.model_sampling.V_PREDICTION):
        return schedule
    log.warning(
        "Zoetrope: the motion module was trained with v-prediction from pure noise on, this MODEL predicts noise; its schedule "
        "is used without zero terminal SNR. Load Video Checkpoint gives the whole file as it was trained."
    )
    return replace(schedule, zero_terminal=False)


def _is_discrete(patched: Any, steps: int) -> bool:
    """Whether the model samples with as many discrete noise levels as a schedule has; says so where not."""
    current = patched.get_model_object("model_sampling")
    if isinstance(current, comfy.model_sampling.ModelSamplingDiscrete) and len(current.sigmas) == steps:
        return True
    log.warning(
        "Zoetrope: the MODEL samples with %s (%d noise levels), the motion module's schedule is for Stable Diffusion's "
        "ModelSamplingDiscrete (%d); the MODEL's schedule is kept.",
        type(current).__bases__[0].__name__, len(getattr(current, "sigmas", ())), steps,
    )  # fmt: skip
    return False


def _sigmas(schedule: NoiseSchedule) -> Tensor:
    given = betas(schedule.curve, schedule.start, schedule.end, schedule.steps)
    return discrete_sigmas(zero_terminal(given) if schedule.zero_terminal else given)


def _predicting(patched: Any, prediction: str) -> Any:
    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, PREDICTIONS[prediction]):
        pass

    return Sampling(patched.model.model_config)


def _scaled(sampling: Any, scale: InputScale, sigmas: Tensor) -> Any:
    """A sampling object of the same kind for a model that saw `scale(t) * clean + sigma * noise` (before the usual division).

    In the variable y = x / scale(t) that is an ordinary diffusion with sigma / scale(t), so every sampler of the host is right
    as it is; the model is shown x.
    """
    kind = type(sampling)

    class Scaled(kind):
        def scale_at(self, sigma: Tensor, like: Tensor) -> Tensor:
            scales = self.scales.to(sigma.device)[self.timestep(sigma.flatten()).long()]
            return scales.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1)) if scales.numel() > 1 else scales.reshape(())

        def own(self, sigma: Tensor, scale: Tensor) -> Tensor:
            """The file's own sigma of x, from that of y."""
            return sigma * scale.flatten().reshape(sigma.shape)

        def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
            scale = self.scale_at(sigma, noise)
            return super().calculate_input(self.own(sigma, scale), noise * scale)

        def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
            scale = self.scale_at(sigma, model_input)
            return super().calculate_denoised(self.own(sigma, scale), model_output, model_input * scale) / scale

        def noise_scaling(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False) -> Tensor:
            scale = self.scale_at(sigma, noise)
            return super().noise_scaling(self.own(sigma, scale), noise, latent_image * scale, max_denoise) / scale

    made = Scaled()
    made.__dict__.update({key: copy.deepcopy(value) for key, value in sampling.__dict__.items()})
    scales = scale_table(scale.end, scale.until, len(sigmas))
    made.register_buffer("scales", scales.to(torch.float32))
    made.set_sigmas((sigmas / scales).to(torch.float32))
    made.unscaled = (sampling,)  # in a tuple: it is no part of this module
    return made
