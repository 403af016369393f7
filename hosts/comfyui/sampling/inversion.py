"""DDIM inversion through the host's guider, so that motion modules, ControlNets, windows and other packs' nodes act in it."""

import logging
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.model_sampling
import comfy.samplers
import latent_preview
import torch
from torch import Tensor

from ....sampling.inversion import Prediction, check_sigmas, inversion, unscaled
from ..latents import frames_in
from .guider import enough_memory, guider_of

log = logging.getLogger(__name__)


def invert(model: Any, positive: Any, latent: dict[str, Any], sigmas: Tensor, refine: int) -> dict[str, Any]:
    """A LATENT at noise level sigmas[0], for samplers that add no noise.

    The host's samplers begin with `noise_scaling`, which leaves latents as they are where the noise is zero.
    """
    check_sigmas(sigmas)
    sampling = model.get_model_object("model_sampling")
    if isinstance(sampling, comfy.model_sampling.CONST):
        raise ValueError(
            "this MODEL samples by flow (ModelSamplingSD3, AuraFlow, Flux), where samplers begin with noise alone and cannot "
            "begin with an inverted latent. Use a Stable Diffusion checkpoint (SD1.x, SD2.x, SDXL)."
        )
    clean = frames_in(latent, model).to(torch.float32)
    if float(sigmas[-1]) == 0 and not bool(clean.any()):
        raise ValueError("latent: expected an encoded clip to invert, got an empty latent; connect Encode Video or VAE Encode")
    if "noise_mask" in latent:
        log.warning("Zoetrope: Invert Video inverts whole frames; the noise mask of the latent is removed")
    guider = guider_of(model, positive, positive, 1.0)
    callback = latent_preview.prepare_callback(model, len(sigmas) - 1)
    with enough_memory("a step of the inversion", "the clip's size, or use Sliding Windows with a smaller window", ""):
        found = guider.sample(
            torch.zeros_like(clean), clean, InversionSampler(refine), sigmas, callback=callback, disable_pbar=True, seed=0
        )
    kept = {name: value for name, value in latent.items() if name != "noise_mask"}
    return {**kept, "samples": found.to(comfy.model_management.intermediate_device())}


class InversionSampler(comfy.samplers.Sampler):
    """A SAMPLER that goes from the last noise level to the first."""

    def __init__(self, refine: int):
        self._refine = refine

    def sample(
        self, model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Tensor, latent_image: Any = None,
        denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        sampling = model_wrap.inner_model.model_sampling
        clean = x = latent_image

        def denoise(x: Tensor, sigma: Tensor) -> Tensor:
            nonlocal clean
            comfy.model_management.throw_exception_if_processing_interrupted()
            clean = model_wrap(x, sigma, **extra_args)
            return clean

        found = inversion(denoise, x, sigmas, self._refine, prediction_of(sampling), scale_of(sampling))
        for step, x in enumerate(found):  # noqa: B007
            if callback is not None:
                callback(step, clean, x, len(sigmas) - 1)
        return x


def prediction_of(sampling: Any) -> Prediction:
    """What the network behind a sampling object predicts."""
    return "v" if isinstance(sampling, comfy.model_sampling.V_PREDICTION) else "eps"


def scale_of(sampling: Any) -> Callable[[float], float]:
    """Factor of the clean latents by noise level (`motion/schedule.py`)."""
    if not hasattr(sampling, "scale_at"):
        return unscaled
    return lambda sigma: float(sampling.scale_at(torch.tensor(sigma), torch.zeros(())).max())
