"""Which video transformer a MODEL is, the shapes of its latents, and the levels of its schedule."""

from typing import Any

import comfy.sample
import torch
from einops import rearrange
from torch import Tensor

from ....models.backbones.dit import CLIP_CONDITIONS, DITS, IMAGES_ONLY, NEEDS_PICTURE, REFUSED, UNKNOWN, VideoDit, refusal


def dit_of(model: Any) -> VideoDit | None:
    """The video transformer in a MODEL (a patcher); None for models of images, whose frames are rows of a batch.

    Raises ValueError, with the reason and what works, for video models that take one noise level per clip.
    """
    base = model.model
    if getattr(base.latent_format, "latent_dimensions", 2) != 3:
        return None
    name = type(base).__name__
    for kind in type(base).__mro__:
        if kind.__name__ in REFUSED:
            raise refusal(name, REFUSED[kind.__name__])
    dit = DITS.get((name, type(network_of(base)).__name__))
    if dit is None:
        raise refusal(name, UNKNOWN)
    extra = channels_in(base) - base.latent_format.latent_channels
    if extra and not dit.marks_given:
        raise refusal(name, NEEDS_PICTURE if base.image_to_video else CLIP_CONDITIONS)
    if not extra and dit.marks_given:
        raise refusal(name, IMAGES_ONLY)
    return dit


def network_of(base: Any) -> Any:
    """The network of a model, inside torch.compile's wrapper."""
    return getattr(base.diffusion_model, "_orig_mod", base.diffusion_model)


def channels_in(base: Any) -> int:
    """Channels that the network takes, without those that it adds itself."""
    network = network_of(base)
    return int(getattr(network, "in_dim", None) or getattr(network, "in_channels", None) or base.latent_format.latent_channels)


def clip_frames_in(latent: Any, model: Any) -> Tensor:
    """The samples of a LATENT of one clip `(1, c, f, h, w)`, by frame `(f, c, h, w)`; an empty one gets the MODEL's channels.

    Raises ValueError for several clips, and for latents of another model.
    """
    samples = latent["samples"]
    channels = model.model.latent_format.latent_channels
    if isinstance(samples, Tensor) and not getattr(samples, "is_nested", False) and samples.ndim in (4, 5):
        samples = comfy.sample.fix_empty_latent_channels(model, samples)
        if samples.ndim == 5 and samples.shape[:2] == (1, channels):
            return rearrange(samples, "1 c f h w -> f c h w")
    got = "picture and sound in one" if getattr(samples, "is_nested", False) else tuple(getattr(samples, "shape", ()))
    raise ValueError(
        f"latent: expected one clip of {channels} channels (1, {channels}, f, h, w), which this MODEL samples, got {got}. Use "
        "the node for empty latents of this model, batch_size 1, or encode a video with its VAE"
    )


def call_shape(model: Any, rows: int, window: int, latent: tuple[int, int, int]) -> tuple[int, ...]:
    """Shape of a call of `rows` latents of shape c h w, of which `window` are a clip. Raises ValueError as `dit_of`."""
    c, h, w = latent
    return (rows // window, c, window, h, w) if dit_of(model) else (rows, c, h, w)


def as_clip(latents: Tensor) -> Tensor:
    """Latents by frame `(f, c, h, w)` as one clip `(1, c, f, h, w)`."""
    return rearrange(latents, "f c h w -> 1 c f h w")


def by_frame(clip: Tensor) -> Tensor:
    """One clip `(1, c, f, h, w)` by frame `(f, c, h, w)`."""
    return rearrange(clip, "1 c f h w -> f c h w")


def check_ratio(model: Any, each: int) -> None:
    """Raises ValueError for a VAE that makes another number of frames of each latent than a video transformer's."""
    dit = dit_of(model)
    if dit and dit.each != each:
        raise ValueError(
            f"vae: this VAE makes {each} of each latent, but {dit.name} has {dit.each} frames per latent; connect its own VAE"
        )


def given_level(dit: VideoDit | None) -> float | None:
    """Level at which the model gets given frames without noise; None where it was not trained so."""
    return 0.0 if dit and dit.clean_frames else None


def clean_scales(sampling: Any, sigmas: Tensor) -> Tensor:
    """Factor of the clean latents at each noise level `(s,)`, from the sampling object's own formula."""
    one, zero = torch.ones(1), torch.zeros(1)
    return torch.cat([sampling.noise_scaling(sigma.reshape(1), zero.clone(), one) for sigma in sigmas.float()])
