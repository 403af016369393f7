"""Noise schedules as plain tensors: discrete betas, and EDM's continuous sigmas with v-prediction scalings."""

import torch
from torch import Tensor


def betas(curve: str, start: float, end: float, steps: int) -> Tensor:
    """`steps` betas from `start` to `end`, float64.

    curve   `beta`: linear in beta (AnimateDiff "linear", ComfyUI `sqrt_linear`);
            `root`: linear in its root (diffusers "scaled_linear", ComfyUI `linear`, Stable Diffusion's own)
    """
    if curve == "beta":
        return torch.linspace(start, end, steps, dtype=torch.float64)
    if curve == "root":
        return torch.linspace(start**0.5, end**0.5, steps, dtype=torch.float64) ** 2
    raise ValueError(f"expected the curve 'beta' or 'root', got {curve!r}")


def discrete_sigmas(betas: Tensor) -> Tensor:
    """Sigma of each timestep, cleanest first: sqrt((1 - a) / a), a the cumulated product of 1 - beta (float64)."""
    kept = torch.cumprod(1 - betas.double(), dim=0)
    return ((1 - kept) / kept).sqrt()


def edm_sigmas(steps: int, low: float = 0.002, high: float = 700.0, rho: float = 7.0) -> Tensor:
    """`steps` sigmas, noisiest first, without the closing 0 (EDM, arXiv 2206.00364, equation 5; defaults are SVD's)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    return (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho


def v_scalings(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in, c_noise of v-prediction in EDM's terms, as SVD uses them (sgm `VScalingWithEDMcNoise`)."""
    total = sigma**2 + 1
    return 1 / total, -sigma / total.sqrt(), 1 / total.sqrt(), 0.25 * sigma.log()


def linear_guidance(frames: int, first: float, last: float) -> Tensor:
    """Guidance scale per frame, rising from the first to the last `(frames,)` (SVD's linear prediction guider)."""
    return torch.linspace(first, last, frames)
