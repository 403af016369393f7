"""Noise schedules of the families as the host's model_sampling objects, with VideoCrafter's scaled latents."""

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
"""Schedules beside those in `sampling.schedule.NAMED`."""

PREDICTIONS = {"eps": comfy.model_sampling.EPS, "v": comfy.model_sampling.V_PREDICTION}


def set_schedule(patched: Any, variant: Variant, prediction: str | None, scaled: bool) -> None:
    """Sets the family's noise schedule on a MODEL; keeps the MODEL's, with a warning, where it has other noise levels.

    prediction   `eps` or `v` where the image model's weights are the family's; None keeps the MODEL's prediction
    scaled       whether to use the family's scaled latents, as in training
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
    """Adds guidance rescale to a MODEL (DynamiCrafter's published sampler: 0.7), beside that of other nodes.

    share   0: none, 1: full
    """
    if share > 0:
        patched.set_model_sampler_post_cfg_function(lambda args: _rescaled(args, share))


def _rescaled(args: dict[str, Any], share: float) -> Tensor:
    """The guided prediction with the standard deviation of v rescaled, in the variable that the family was trained in."""
    x, sampling = args["input"], args["model"].model_sampling
    sigma = args["sigma"].to(x).reshape(-1, *[1] * (x.ndim - 1))
    scale = sampling.scale_at(args["sigma"], x) if hasattr(sampling, "scale_at") else 1.0
    trained = sigma * scale  # sigma in training, of scale * x
    total = (trained**2 + 1).sqrt()

    def velocity(clean: Tensor) -> Tensor:
        return (x * scale / total**2 - clean * scale) * total / trained

    clips = len(x) // clip_frames(args["model_options"].get("transformer_options", {}), len(x))
    v = rescaled(velocity(args["denoised"]), velocity(args["cond_denoised"]), share, clips)
    return (x * scale / total**2 - v * trained / total) / scale


def set_named(patched: Any, name: str) -> None:
    """Sets a named noise schedule on a MODEL. Raises ValueError for an unknown name."""
    if name not in NAMED:
        raise ValueError(f"schedule: expected one of {', '.join((FAMILY, MODEL, *NAMED))}, got {name!r}")
    if _is_discrete(patched, len(NAMED[name])):
        sampling = _plain(patched)
        sampling.set_sigmas(NAMED[name].to(torch.float32))
        patched.add_object_patch("model_sampling", sampling)


def _plain(patched: Any) -> Any:
    """A copy of the model's sampling object, without the scale of `_scaled`."""
    current = patched.get_model_object("model_sampling")
    return copy.deepcopy(*getattr(current, "unscaled", (current,)))


def _possible(schedule: NoiseSchedule, sampling: Any) -> NoiseSchedule:
    """The schedule, without zero terminal SNR where the model does not predict v: eps has no signal at pure noise."""
    if not schedule.zero_terminal or isinstance(sampling, comfy.model_sampling.V_PREDICTION):
        return schedule
    log.warning(
        "Zoetrope: the motion module was trained with v-prediction and zero terminal SNR, this MODEL predicts noise; the "
        "schedule is used without zero terminal SNR. Load Video Checkpoint loads the full file as it was trained."
    )
    return replace(schedule, zero_terminal=False)


def _is_discrete(patched: Any, steps: int) -> bool:
    """Whether the model samples with the discrete noise levels of a schedule; logs a warning where it does not."""
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
    values = betas(schedule.curve, schedule.start, schedule.end, schedule.steps)
    return discrete_sigmas(zero_terminal(values) if schedule.zero_terminal else values)


def _predicting(patched: Any, prediction: str) -> Any:
    class Sampling(comfy.model_sampling.ModelSamplingDiscrete, PREDICTIONS[prediction]):
        pass

    return Sampling(patched.model.model_config)


def _scaled(sampling: Any, scale: InputScale, sigmas: Tensor) -> Any:
    """A sampling object of the same class for a model trained on `scale(t) * clean + sigma * noise` (before division).

    In the variable y = x / scale(t) this is an ordinary diffusion with sigma / scale(t), so every sampler of the host works
    unchanged; the model's input is x.
    """
    kind = type(sampling)

    class Scaled(kind):
        def scale_at(self, sigma: Tensor, like: Tensor) -> Tensor:
            scales = self.scales.to(sigma.device)[self.timestep(sigma.flatten()).long()]
            return scales.to(like.dtype).reshape(-1, *[1] * (like.ndim - 1)) if scales.numel() > 1 else scales.reshape(())

        def trained_sigma(self, sigma: Tensor, scale: Tensor) -> Tensor:
            """The sigma of x, as in training, from that of y."""
            return sigma * scale.flatten().reshape(sigma.shape)

        def calculate_input(self, sigma: Tensor, noise: Tensor) -> Tensor:
            scale = self.scale_at(sigma, noise)
            return super().calculate_input(self.trained_sigma(sigma, scale), noise * scale)

        def calculate_denoised(self, sigma: Tensor, model_output: Tensor, model_input: Tensor) -> Tensor:
            scale = self.scale_at(sigma, model_input)
            return super().calculate_denoised(self.trained_sigma(sigma, scale), model_output, model_input * scale) / scale

        def noise_scaling(self, sigma: Tensor, noise: Tensor, latent_image: Tensor, max_denoise: bool = False) -> Tensor:
            scale = self.scale_at(sigma, noise)
            return super().noise_scaling(self.trained_sigma(sigma, scale), noise, latent_image * scale, max_denoise) / scale

    scaled = Scaled()
    scaled.__dict__.update({key: copy.deepcopy(value) for key, value in sampling.__dict__.items()})
    scales = scale_table(scale.end, scale.until, len(sigmas))
    scaled.register_buffer("scales", scales.to(torch.float32))
    scaled.set_sigmas((sigmas / scales).to(torch.float32))
    scaled.unscaled = (sampling,)  # in a tuple, so that it is not a submodule
    return scaled
