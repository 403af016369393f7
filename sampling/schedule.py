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


def v_scalings(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """c_skip, c_out, c_in, c_noise of v-prediction in EDM's terms, as SVD uses them (sgm `VScalingWithEDMcNoise`)."""
    total = sigma**2 + 1
    return 1 / total, -sigma / total.sqrt(), 1 / total.sqrt(), 0.25 * sigma.log()


def every_nth(sigmas: Tensor, kept: int) -> Tensor:
    """`kept` of the sigmas at even distances, the noisiest included (latent consistency models train on 50 of 1000)."""
    step = len(sigmas) // kept
    return sigmas[step - 1 + len(sigmas) % kept :: step]


LINEAR = discrete_sigmas(betas("root", 0.00085, 0.012, 1000))
SQRT_LINEAR = discrete_sigmas(betas("beta", 0.00085, 0.012, 1000))

NAMED = {
    "linear (Stable Diffusion)": LINEAR,
    "sqrt_linear (AnimateDiff)": SQRT_LINEAR,
    "average of the two": (LINEAR + SQRT_LINEAR) / 2,
    "linear to 0.020 (AnimateDiff SDXL)": discrete_sigmas(betas("root", 0.00085, 0.020, 1000)),
    "lcm": every_nth(LINEAR, 50),
    "lcm, 100 levels": every_nth(LINEAR, 100),
    "lcm on sqrt_linear": every_nth(SQRT_LINEAR, 50),
}
"""Sigmas, cleanest first, of schedules by the names of AnimateDiff-Evolved's beta schedules."""

SMALLEST_KEPT = 4.8973451890853435e-08
"""Factor alpha_bar of the last step of a zero-terminal schedule, in place of 0, so that sigma is finite; ComfyUI's value."""


def zero_terminal(betas: Tensor) -> Tensor:
    """Betas shifted so that the last step is pure noise (arXiv 2305.08891, algorithm 1), float64."""
    root = torch.cumprod(1 - betas.double(), dim=0).sqrt()
    kept = ((root - root[-1]) * root[0] / (root[0] - root[-1])) ** 2
    kept[-1] = SMALLEST_KEPT
    before = torch.cat([kept.new_ones(1), kept[:-1]])
    return 1 - kept / before


def scale_table(end: float, until: int, steps: int) -> Tensor:
    """Factor of clean latents at each timestep: evenly from 1 to `end` over `until` steps, then flat, float64
    (VideoCrafter's `scale_arr`)."""
    return torch.cat([torch.linspace(1, end, until, dtype=torch.float64), torch.full((steps - until,), end).double()])
