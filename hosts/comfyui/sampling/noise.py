"""The host's NOISE for restyled and repeated clips: one noise for all frames, and FreeInit's mixture of frequencies."""

from typing import Any

import comfy.sample
import torch
from torch import Tensor

from ....sampling.frequency import LowPass, mixed_frequencies
from ..latents import check_shape, frames_in


class SameNoise:
    """Every frame gets the noise of the first one (Text2Video-Zero, Rerender-A-Video)."""

    def __init__(self, seed: int):
        self.seed = seed

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """Of the shape of the latent `(f, c, h, w)`."""
        samples = input_latent["samples"]
        check_shape(samples)
        return comfy.sample.prepare_noise(samples[:1], self.seed).repeat(len(samples), 1, 1, 1)


class FrequencyMix:
    """Low frequencies of an earlier result, noised again with the noise that it began with; high ones of fresh noise."""

    def __init__(self, fresh: Any, first: Any, model: Any, result: dict[str, Any], low_pass: LowPass):
        """
        fresh    NOISE of this pass
        first    NOISE that the first pass began with
        model    the MODEL that samples: its highest noise level is that of the noise
        result   LATENT that the pass before gave
        """
        self.seed = fresh.seed
        self._fresh, self._first, self._low_pass = fresh, first, low_pass
        self._clean = model.model.process_latent_in(frames_in(result, model).to(torch.float32)).cpu()
        self._sigma = float(model.get_model_object("model_sampling").sigma_max)

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """Of the shape of the latent `(f, c, h, w)`. Raises ValueError where the earlier result has another one."""
        samples = input_latent["samples"]
        check_shape(samples)
        if samples.shape[2:] != self._clean.shape[2:] or len(samples) != len(self._clean):
            raise ValueError(
                f"previous: expected a result of the same frames and size as the latent, {_size(samples)}, got "
                f"{_size(self._clean)}"
            )
        like = {**input_latent, "samples": self._clean}
        first, fresh = (noise.generate_noise(like).to(self._clean) for noise in (self._first, self._fresh))
        noised = (self._clean + self._sigma * first) / (1 + self._sigma**2) ** 0.5
        return mixed_frequencies(noised, fresh, self._low_pass).to(samples.dtype)


def _size(samples: Tensor) -> str:
    frames, _, height, width = samples.shape
    return f"{frames} frames of {width}x{height}"
