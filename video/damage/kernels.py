"""Blur kernels and sharpening of Real-ESRGAN's degradations (arXiv 2107.10833; BasicSR 8d56e3a, `degradations.py`)."""

from math import cos, pi, sin

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional as F

SHARP_SIDE, SHARP_SIGMA = 51, 8.0
"""Side and standard deviation of the blur of `sharpened`."""


def gaussian(side: int, sigma_x: float, sigma_y: float = 0.0, turn: float = 0.0) -> Tensor:
    """Gaussian kernel `(side, side)`. sigma_y 0: isotropic; turn: rotation in radians."""
    return _sum_to_one(torch.exp(-0.5 * _distances(side, sigma_x, sigma_y, turn)))


def generalised(side: int, sigma_x: float, sigma_y: float, turn: float, beta: float) -> Tensor:
    """Generalised Gaussian: exp(-q^beta / 2)."""
    return _sum_to_one(torch.exp(-0.5 * _distances(side, sigma_x, sigma_y, turn) ** beta))


def plateau(side: int, sigma_x: float, sigma_y: float, turn: float, beta: float) -> Tensor:
    """Flat in the middle: 1 / (1 + q^beta)."""
    return _sum_to_one(1 / (1 + _distances(side, sigma_x, sigma_y, turn) ** beta))


def sinc(side: int, cutoff: float, padded: int = 0) -> Tensor:
    """Circular low pass of a cutoff in radians per pixel, which rings; padded with zeros to a larger side."""
    line = _line(side)
    r = (line[:, None] ** 2 + line**2).sqrt()
    values = cutoff * torch.special.bessel_j1(cutoff * r) / (2 * pi * r)
    kernel = _sum_to_one(torch.where(r == 0, torch.full_like(r, cutoff**2 / (4 * pi)), values))
    return F.pad(kernel, (max(0, padded - side) // 2,) * 4)


def gaussian_line(side: int, sigma: float) -> Tensor:
    """One axis of a Gaussian kernel, `(side,)`."""
    line = torch.exp(-0.5 * (_line(side) / sigma) ** 2)
    return (line / line.sum()).float()


def filtered(pictures: Tensor, kernel: Tensor) -> Tensor:
    """Correlates pictures `(f, c, h, w)` with a kernel `(k, k)`, or one kernel each `(f, k, k)`; edges are reflected."""
    kernels = kernel.expand(len(pictures), *kernel.shape[-2:]) if kernel.ndim == 2 else kernel
    radius = kernels.shape[-1] // 2
    rows, columns = (_reflected(side, radius) for side in pictures.shape[-2:])
    padded = rearrange(pictures[..., rows, :][..., columns], "f c h w -> c f h w")
    found = F.conv2d(padded, kernels[:, None].to(pictures), groups=len(pictures))
    return rearrange(found, "c f h w -> f c h w")


def _reflected(side: int, radius: int) -> Tensor:
    """Indices of a line and its reflections beyond both ends, also where they are longer than the line."""
    period = max(1, 2 * (side - 1))
    index = torch.arange(-radius, side + radius) % period
    return torch.minimum(index, period - index) if side > 1 else index * 0


def sharpened(pictures: Tensor, weight: float = 0.5, threshold: float = 10.0) -> Tensor:
    """Unsharp mask on edges above a threshold in levels of 255: the ground truth of Real-ESRGAN's training."""
    line = gaussian_line(SHARP_SIDE, SHARP_SIGMA).to(pictures)
    kernel = line[:, None] * line
    residual = pictures - filtered(pictures, kernel)
    soft = filtered((residual.abs() * 255 > threshold).to(pictures), kernel)
    sharp = (pictures + weight * residual).clamp(0, 1)
    return soft * sharp + (1 - soft) * pictures


def _line(side: int) -> Tensor:
    return torch.arange(side, dtype=torch.float64) - (side - 1) / 2


def _distances(side: int, sigma_x: float, sigma_y: float, turn: float) -> Tensor:
    """Squared distance of each pixel from the middle in units of the two widths, `(side, side)`."""
    line = _line(side)
    x, y = line[None, :], line[:, None]
    if not sigma_y:
        return (x**2 + y**2) / sigma_x**2
    along, across = x * cos(turn) + y * sin(turn), y * cos(turn) - x * sin(turn)
    return (along / sigma_x) ** 2 + (across / sigma_y) ** 2


def _sum_to_one(kernel: Tensor) -> Tensor:
    return (kernel / kernel.sum()).float()
