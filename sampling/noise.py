"""Noise by frame: every value is a function of (seed, frame, step), so a shot can be cut or extended.

Drawn on the CPU and then moved, so that every device has the same values. `shuffled` is FreeNoise's (arXiv 2310.15169).
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class FrameNoise:
    seed: int
    shape: tuple[int, ...]
    """Shape of one latent frame: c h w."""

    def at(self, frame: int, step: int) -> Tensor:
        """Standard normal, c h w, float32 on the CPU. `frame` may be negative (a shot's warm-up)."""
        key = mixed(mixed(mixed(self.seed) ^ (frame & MASK)) ^ step)
        generator = torch.Generator().manual_seed(key & (2**63 - 1))
        return torch.randn(self.shape, generator=generator)


def shuffled(noise: Tensor, window: int, overlap: int, seed: int) -> Tensor:
    """Noise `(f, ...)` in which frames after the first window repeat those of the window before in another order (FreeNoise,
    section 3.2), which keeps windows consistent. The first `window` frames stay unchanged.
    """
    if not 0 <= overlap < window:
        raise ValueError(f"overlap: expected 0 to {window - 1} (less than the window), got {overlap}")
    order = torch.Generator().manual_seed(seed & (2**63 - 1))
    result, apart = noise.clone(), window - overlap
    for start in range(0, len(noise) - window, apart):
        taken = start + torch.randperm(apart, generator=order)[: len(noise) - window - start]
        result[start + window : start + window + len(taken)] = result[taken.to(noise.device)]
    return result


def motion_noise_scale(frames: Tensor, before: float, most: float = 0.8) -> float:
    """Noise strength for restyling a chunk of a video by its motion: `most` without motion, down to `most - 0.1`
    (StreamDiffusionV2, chenfengxu714/StreamDiffusionV2 c5a0f20).

    frames   the chunk, with the frame before it first `(f, c, h, w)` in [-1, 1]
    before   strength of the chunk before, a tenth of which is kept
    """
    change = float(frames.diff(dim=0).square().mean((1, 2, 3)).sqrt().max())
    return 0.9 * (most - 0.1 * min(1.0, change / 0.2)) + 0.1 * before


MASK = 2**64 - 1


def mixed(value: int) -> int:
    """Hash of 64 bits (SplitMix64, Steele et al. 2014): neighbouring frames and seeds get unrelated values."""
    value = (value + 0x9E3779B97F4A7C15) & MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & MASK
    return value ^ (value >> 31)
