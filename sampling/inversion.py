"""DDIM inversion: the noise from which deterministic sampling gives a clip (Song et al. 2021, arXiv 2010.02502, 4.3).

Each step takes the noise that the network predicts for the latents so far with the label of the next, higher level, as
Tune-A-Video (arXiv 2212.11565), TokenFlow and VidToMe do. Refinements solve the step's implicit equation by fixed-point
iteration (Pan et al. 2023, arXiv 2309.04907): then Euler's method, which is DDIM with eta 0, leads back exactly.
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal

import torch
from torch import Tensor

from .diffusion import Denoiser

Prediction = Literal["eps", "v"]
MOST_REFINEMENTS = 3


def unscaled(sigma: float) -> float:
    """Factor of the clean latents in training at a noise level: 1 for all models but VideoCrafter's."""
    return 1.0


def inversion(
    denoise: Denoiser,
    x: Tensor,
    sigmas: Tensor,
    refine: int = 0,
    prediction: Prediction = "eps",
    scale: Callable[[float], float] = unscaled,
) -> Iterator[Tensor]:
    """Yields x `(f, ...)` at each noise level in turn, up to sigmas[0]. Sampling with the same sigmas leads back to x.

    x            at noise level sigmas[-1]: clean latents where that is 0
    sigmas       noise levels of the sampling `(steps + 1,)`, falling
    refine       fixed-point iterations per step, each as long as the step itself
    prediction   what the network predicts
    scale        factor of the clean latents that the network was trained with, by noise level
    """
    step = step_up(denoise, refine, prediction, scale)
    levels = check_sigmas(sigmas)
    for before, after in zip(levels, levels[1:], strict=False):
        x = step(x, before, after)
        yield x


def step_up(
    denoise: Denoiser, refine: int, prediction: Prediction, scale: Callable[[float], float]
) -> Callable[[Tensor, float, float], Tensor]:
    """A step of the inversion: (x, noise level of x, next higher level) -> x at that level."""

    def step(start: Tensor, before: float, after: float) -> Tensor:
        x = start + (after - before) * _noise_at(denoise, start, before, after, prediction, scale)
        for _ in range(refine):
            x = start + (after - before) * ((x - denoise(x, _rows(after, x))) / after)
        return x

    return step


def check_refine(refine: int) -> None:
    """Raises ValueError for more refinements per step than are of use."""
    if not 0 <= refine <= MOST_REFINEMENTS:
        raise ValueError(f"refine: expected 0 to {MOST_REFINEMENTS}, got {refine}")


def check_sigmas(sigmas: Tensor) -> list[float]:
    """Noise levels from the lowest to the highest. Raises ValueError unless they fall, with one step or more."""
    levels = sigmas.double().tolist()
    if len(levels) < 2:
        raise ValueError(
            f"sigmas: expected one step or more (2 noise levels), got {len(levels)} noise levels; "
            "raise steps or denoise of the scheduler"
        )
    falling = all(math.isfinite(level) for level in levels) and all(a > b for a, b in zip(levels, levels[1:], strict=False))
    if not falling or levels[-1] < 0:
        shown = ", ".join(f"{level:.3g}" for level in levels[:4])
        raise ValueError(
            f"sigmas: expected noise levels that fall, as schedulers give them for sampling, got {shown}, ...; "
            "remove Flip Sigmas"
        )
    return levels[::-1]


def _noise_at(
    denoise: Denoiser, x: Tensor, here: float, label: float, prediction: Prediction, scale: Callable[[float], float]
) -> Tensor:
    """The noise in x at level `here`, which the network gets with the label of another level."""
    kept_here, kept = (1 / (1 + (sigma * scale(sigma)) ** 2) for sigma in (here, label))
    shown = x * scale(here) * kept_here**0.5  # what the network gets, of constant variance
    moved = shown / (scale(label) * kept**0.5)  # what a denoiser makes the same of at the other level
    clean = denoise(moved, _rows(label, x))
    if prediction == "eps":
        return (moved - clean) / label
    v = (kept**0.5 * shown - scale(label) * clean) / (1 - kept) ** 0.5
    return kept_here**0.5 * v + (1 - kept_here) ** 0.5 * shown


def _rows(sigma: float, x: Tensor) -> Tensor:
    return torch.full((len(x),), sigma, dtype=x.dtype, device=x.device)
