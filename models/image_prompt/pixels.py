"""Preprocessing of pictures for image encoders: a square of one size, normalised. Never rounded to 8 bits."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Mean and standard deviation of CLIP's training images (Radford et al. 2021, arXiv 2103.00020)."""


def pixels_of(pictures: Tensor, side: int, crop: bool, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> Tensor:
    """Resizes pictures `(b, 3, h, w)` in [0, 1] to `(b, 3, side, side)` and normalises them.

    crop   whether to centre-crop to a square first; else the picture is stretched
    """
    if crop:
        h, w = pictures.shape[-2:]
        short = min(h, w)
        top, left = (h - short) // 2, (w - short) // 2
        pictures = pictures[..., top : top + short, left : left + short]
    if pictures.shape[-2:] != (side, side):
        pictures = F.interpolate(pictures, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    shift, scale = (pictures.new_tensor(values)[:, None, None] for values in (mean, std))
    return (pictures - shift) / scale
