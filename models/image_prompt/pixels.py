"""Pictures as image encoders want them: a square of one size, normalised. Never rounded to 8 bits."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pictures that CLIP was trained on (Radford et al. 2021, arXiv 2103.00020)."""


def pixels_of(pictures: Tensor, side: int, crop: bool, mean: Sequence[float] = MEAN, std: Sequence[float] = STD) -> Tensor:
    """Pictures `(b, 3, h, w)` in [0, 1] to `(b, 3, side, side)`, normalised.

    crop   cut about the middle to a square, else squashed
    """
    if crop:
        h, w = pictures.shape[-2:]
        short = min(h, w)
        top, left = (h - short) // 2, (w - short) // 2
        pictures = pictures[..., top : top + short, left : left + short]
    if pictures.shape[-2:] != (side, side):
        pictures = F.interpolate(pictures, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    middle, spread = (pictures.new_tensor(values)[:, None, None] for values in (mean, std))
    return (pictures - middle) / spread
