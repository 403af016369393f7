"""Latent upscaling as in Stable Diffusion's x4 upscaler, whose UNet also takes the small picture, noised to a given level.

Latent Diffusion (arXiv 2112.10752, 3.3 and appendix); noise augmentation after Cascaded Diffusion (arXiv 2106.15282); over
clips as in Upscale-A-Video (arXiv 2312.06640): windows of 8 frames with an overlap of 2, here blended smoothly, none run twice.
"""

import torch
from torch import Tensor

from .diffusion import rows
from .noise import FrameNoise
from .schedule import betas, discrete_sigmas
from .windowing import WindowSpec

_BETAS = betas("root", 1e-4, 2e-2, 1000)
X4_SIGMAS = discrete_sigmas(_BETAS).float()
"""The published upscaler's noise schedule, of its latents and of its small pictures alike, cleanest first `(1000,)`."""


_KEPT = torch.cumprod(1 - _BETAS.float(), dim=0)
"""Cumulated product of 1 - beta at each level, in float32 as in the published code."""

LATENT, RGB = 4, 3
"""Channels of a latent and of the small picture beside it."""

WINDOWS = WindowSpec(8, 2)
"""Frames per window, and overlap."""


def low_res_noised(small: Tensor, noise: Tensor, level: Tensor) -> Tensor:
    """Small pictures `(f, 3, h, w)` in [-1, 1] at noise levels `(f,)`, timesteps of `X4_SIGMAS`, of constant variance."""
    kept = _KEPT.to(level.device)[level]
    return rows(kept.sqrt(), small) * small + rows((1 - kept).sqrt(), small) * noise


def laid_out(number: int, small: Tensor, level: int, sigma: float, seed: int) -> Tensor:
    """Input of the UNet for a frame at the first step: noise at `sigma` (4 channels), and the small picture `(3, h, w)` in
    [0, 1] noised to `level` (3 channels). Both noises are functions of the frame's number."""
    latent_noise, rgb_noise = (FrameNoise(seed + n, (c, *small.shape[1:])).at(number, 0) for n, c in ((0, LATENT), (1, RGB)))
    noised = low_res_noised(small[None].float() * 2 - 1, rgb_noise[None], torch.tensor([level]))[0]
    return torch.cat([latent_noise * sigma, noised])


def late_steps(sigmas: Tensor) -> list[float]:
    """Noise levels at which latents are propagated along the flow: every second one in the last fifth of the steps, without
    the very last (steps 24, 26 and 28 of 30, as Upscale-A-Video's authors recommend)."""
    steps = len(sigmas) - 1
    first = min(round(0.8 * steps), steps - 2)
    return sigmas.tolist()[first : steps - 1 : 2] if steps > 1 else []
