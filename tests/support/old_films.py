"""Small films with known damage."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F


def textured(
    frames: int = 20, size: tuple[int, int] = (96, 128), speed: tuple[float, float] = (1.2, 0.4), seed: int = 0
) -> Tensor:
    """A pan over a smooth random texture, `(f, 3, h, w)`."""
    generator = torch.Generator().manual_seed(seed)
    height, width = size[0] + 64, size[1] + 96
    noise = sum(
        F.interpolate(torch.randn(1, 3, height // side, width // side, generator=generator), (height, width), mode="bicubic")
        for side in (4, 8, 16, 32)
    )
    ground = (0.5 + 0.11 * noise).clamp(0.05, 0.95)  # type: ignore[operator]
    x, y = torch.arange(size[1]), torch.arange(size[0])[:, None]
    pictures = []
    for number in range(frames):
        right, down = 8 + speed[0] * number, 8 + speed[1] * number
        grid = torch.stack(torch.broadcast_tensors(2 * (x + right) / (width - 1) - 1, 2 * (y + down) / (height - 1) - 1), -1)
        pictures.append(F.grid_sample(ground, grid[None], align_corners=True, mode="bicubic")[0])
    return torch.stack(pictures).clamp(0, 1)


def stacked(frames: Iterable[Tensor]) -> Tensor:
    return torch.stack(list(frames))


def psnr_in(clip: Tensor, truth: Tensor, mask: Tensor | None = None) -> float:
    """PSNR in dB of all pixels, or of those in a mask `(f, h, w)`."""
    error = (clip - truth).square().mean(1)
    return float(-10 * (error if mask is None else error[mask]).mean().clamp_min(1e-10).log10())


def overlap(found: Tensor, truth: Tensor) -> float:
    """Intersection over union of two masks."""
    return float((found & truth).sum() / (found | truth).sum().clamp_min(1))
