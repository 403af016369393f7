"""Coherent tail of a FIFO queue: a frame enters with low frequencies of the last one (Ouroboros-Diffusion, arXiv 2501.09019).

Published: `low * previous + (1 - low) * noise`, whose low band has about half of the variance that the model expects, and a
filter of at most exp(-1/2) for single frames. Here the shares are m and sqrt(1 - m^2), so that the variance stays 1.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

TAIL = 1 << 40
"""Number of the noise step that raises the previous frame to the last level: far above those of the queue and the base clip."""
WIDTH = 0.25
"""Standard deviation of the filter, as a share of the highest frequency; published."""


@dataclass(frozen=True)
class CoherentTail:
    """Which share of its low frequencies an entering frame takes from the frame before it."""

    strength: float
    """Share at frequency 0: 0 none, 1 all."""
    cuts: frozenset[int] = frozenset()
    """Numbers of frames that take nothing: the first ones after hard cuts."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"coherent_tail: expected 0 to 1, got {self.strength:g}")

    def entering(self, last: Tensor, levels: tuple[float, float], noise: Callable[[int, int], Tensor], frame: int) -> Tensor:
        """Noise `c h w` of variance 1 that frame number `frame` starts from, float32 on the CPU.

        last     frame `c h w` at the last place after an iteration: clean + levels[0] * noise
        levels   its noise level, and that of entering frames
        noise    `(frame, step) -> c h w`, as for the queue
        """
        fresh = noise(frame, 0)
        if self.strength == 0 or frame in self.cuts:
            return fresh
        previous = raised(last.to("cpu", torch.float32), *levels, noise(frame, TAIL))
        return mixed_tail(previous, fresh, self.strength * low_band(*fresh.shape[-2:]))


def raised(x: Tensor, level: float, higher: float, noise: Tensor) -> Tensor:
    """Adds noise to x = clean + level * noise up to the level `higher`, scaled to variance 1 for clean frames of variance 1."""
    return (x + max(0.0, higher**2 - level**2) ** 0.5 * noise) / (1 + higher**2) ** 0.5


def low_band(height: int, width: int) -> Tensor:
    """Gaussian low-pass filter `(h, w)`, 1 at frequency 0, which is the first entry."""
    rows, columns = (2 * torch.fft.fftfreq(size, dtype=torch.float64) for size in (height, width))
    return torch.exp(-(rows[:, None] ** 2 + columns**2) / (2 * WIDTH**2)).float()


def mixed_tail(previous: Tensor, fresh: Tensor, shares: Tensor) -> Tensor:
    """Mixes two fields `(..., h, w)` of variance 1 by frequency to one of variance 1. shares: of `previous`, `(h, w)`."""
    low, high = torch.fft.fft2(previous) * shares, torch.fft.fft2(fresh) * (1 - shares**2).sqrt()
    return torch.fft.ifft2(low + high).real
