"""Discrete diffusion with v-prediction and one noise level per frame: adding noise (training) and removing it (sampling).

Progressive Distillation (arXiv 2202.00512, appendix D) for v; Karras et al. (arXiv 2206.00364) for the sigmas. Euler's method
over the sigmas is DDIM with eta 0.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from .schedule import betas, discrete_sigmas, v_scalings

Denoiser = Callable[[Tensor, Tensor], Tensor]
"""`(x (f, ...), sigma (f,)) -> x0 (f, ...)`: predicts the clean frames from noisy ones."""

SD_SIGMAS = discrete_sigmas(betas("root", 0.00085, 0.012, 1000)).float()
"""Stable Diffusion's own noise schedule, one sigma per timestep, cleanest first `(1000,)`."""


def add_noise(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """Frames at noise level sigma `(f,)` and of constant variance: (clean + sigma * noise) / sqrt(1 + sigma^2)."""
    sigma = rows(sigma, clean)
    return (clean + sigma * noise) / (1 + sigma**2).sqrt()


def velocity(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The model's target, v = (noise - sigma * clean) / sqrt(1 + sigma^2)."""
    sigma = rows(sigma, clean)
    return (noise - sigma * clean) / (1 + sigma**2).sqrt()


def v_denoiser(predict: Callable[[Tensor, Tensor], Tensor], sigmas: Tensor = SD_SIGMAS) -> Denoiser:
    """Makes a denoiser from a v-predicting network `(frames of constant variance, timesteps (f,)) -> v`."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        skip, out, scale, _ = (rows(part, x) for part in v_scalings(sigma.clamp(min=1e-6)))
        return skip * x + out * predict(scale * x, timesteps(sigma, sigmas))

    return denoise


def timesteps(sigma: Tensor, sigmas: Tensor = SD_SIGMAS) -> Tensor:
    """The nearest timestep in log sigma, int64; 0 for clean frames."""
    table = sigmas.to(sigma.device).log()
    return (sigma.clamp(min=float(sigmas[0])).log()[:, None] - table).abs().argmin(1)


def spaced_sigmas(steps: int, sigmas: Tensor = SD_SIGMAS) -> Tensor:
    """`steps + 1` sigmas at even distances in time, noisiest first, 0 last.

    Raises ValueError unless 1 <= steps <= len(sigmas).
    """
    if not 1 <= steps <= len(sigmas):
        raise ValueError(f"steps: expected 1 to {len(sigmas)}, got {steps}")
    times = torch.linspace(len(sigmas) - 1, 0, steps + 1)[:-1].round().long()
    return torch.cat([sigmas[times], torch.zeros(1)])


def euler(
    denoise: Denoiser, x: Tensor, sigmas: Tensor, given: Tensor | None = None, note: Callable[[int], object] | None = None
) -> Tensor:
    """Removes the noise of x by Euler's method, one model call per interval of sigmas.

    x       frames `(f, ...)` at noise level sigmas[0], clean where `given` is true
    given   mask `(f,)` bool of frames that are clean and stay unchanged (image to video, in-between frames)
    note    called after each step with the number of steps done
    """
    noisy = torch.ones(len(x), device=x.device) if given is None else (~given).to(x)
    for step, (now, after) in enumerate(zip(sigmas[:-1], sigmas[1:], strict=True), start=1):
        clean = denoise(x, now * noisy)
        x = x + rows(noisy, x) * (x - clean) * (after - now) / now
        if note:
            note(step)
    return x


def rows(values: Tensor, like: Tensor) -> Tensor:
    """One value per frame, shaped to multiply frames."""
    return values.to(like).reshape(-1, *[1] * (like.ndim - 1))
