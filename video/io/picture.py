"""Loading of an image file as a frame."""

from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor


def picture_of(path: Path, side: int) -> Tensor:
    """Loads an image file as `(3, side, side)` in [0, 1]: centre crop, upright, transparency on black.

    Raises ValueError for a file that is not an image.
    """
    try:
        with Image.open(path) as opened_picture:
            upright = ImageOps.exif_transpose(opened_picture).convert("RGBA")
    except (UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path.name}: expected a picture (PNG, JPEG, WebP), but it cannot be read ({error})") from error
    fitted = ImageOps.fit(Image.alpha_composite(Image.new("RGBA", upright.size, (0, 0, 0, 255)), upright), (side, side))
    return of_pixels(np.array(fitted.convert("RGB")))


def of_pixels(pixels: np.ndarray) -> Tensor:
    """Converts uint8 `(h, w, 3)` to a picture `(3, h, w)` in [0, 1]."""
    return rearrange(torch.from_numpy(np.ascontiguousarray(pixels)), "h w c -> c h w") / 255
