"""Options of the original codes that golden files show and no published file needs; the pack does without them."""

import torch
from torch import Tensor
from zoetrope.models.layers.positions import NoPositions


class Causal(NoPositions):
    """Each frame sees itself and earlier ones (an option of VideoCrafter's code that no published file switches on)."""

    def bias(self, like: Tensor) -> Tensor:
        frames = like.shape[1]
        return torch.full((1, 1, frames, frames), float("-inf"), dtype=like.dtype, device=like.device).triu(1)


def edm_sigmas(steps: int, low: float = 0.002, high: float = 700.0, rho: float = 7.0) -> Tensor:
    """`steps` sigmas, noisiest first, without the closing 0 (EDM, arXiv 2206.00364, equation 5; defaults are SVD's)."""
    ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
    return (high ** (1 / rho) + ramp * (low ** (1 / rho) - high ** (1 / rho))) ** rho


def linear_guidance(frames: int, first: float, last: float) -> Tensor:
    """Guidance scale per frame, rising from the first to the last `(frames,)` (SVD's linear prediction guider)."""
    return torch.linspace(first, last, frames)
