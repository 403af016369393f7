"""Checks of latents from other nodes."""

from typing import Any

import comfy.sample
from torch import Tensor


def side_of(vae: Any) -> int:
    """Pixels per latent pixel of a VAE."""
    return int(getattr(vae, "spacial_compression_encode", lambda: 8)())


def frames_in(latent: Any, model: Any) -> Tensor:
    """The samples `(f, c, h, w)` of a LATENT; an empty one gets the MODEL's channels. Raises ValueError as `check_latent`."""
    samples = latent["samples"]
    check_shape(samples)
    samples = comfy.sample.fix_empty_latent_channels(model, samples)
    check_latent(samples, model)
    return samples


def check_latent(samples: Any, model: Any) -> None:
    """Raises ValueError for latents that are not one per frame, or whose channels differ from the MODEL's."""
    check_shape(samples)
    channels = model.model.latent_format.latent_channels
    if samples.shape[1] != channels:
        raise ValueError(
            f"latent: expected {channels} channels, which this MODEL samples, got {samples.shape[1]} ({tuple(samples.shape)}): "
            "it is of another kind of model. Encode the pictures with this checkpoint's VAE, or use core's Empty Latent Image."
        )


def check_shape(samples: Any) -> None:
    """Raises ValueError for latents that are not one per frame `(f, c, h, w)`."""
    nested = getattr(samples, "is_nested", False)
    if not isinstance(samples, Tensor) or nested or samples.ndim != 4:
        got = "picture and sound in one" if nested else tuple(getattr(samples, "shape", ()))
        raise ValueError(
            f"latent: expected one latent per frame (f, c, h, w), got {got}: that is for video models with latents of their "
            "own (Empty Hunyuan Latent Video and the like). Use core's Empty Latent Image; batch_size is the number of frames."
        )
