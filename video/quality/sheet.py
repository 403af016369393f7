"""Contact sheets: all frames of clips in one image."""

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor


def contact_sheet(rows: Sequence[Tensor], gap: int = 2, scale: int = 1) -> Image.Image:
    """Draws clips as rows and their frames as columns.

    rows   clips `(f, 3, h, w)` in [0, 1], all of one size
    gap    dark pixels between pictures
    scale  integer magnification, nearest neighbour
    """
    clips = torch.stack(list(rows)).clamp(0, 1)  # (r, f, 3, h, w)
    if scale > 1:
        clips = clips.repeat_interleave(scale, dim=-1).repeat_interleave(scale, dim=-2)
    framed = torch.nn.functional.pad(clips, (0, gap, 0, gap), value=0.1)
    sheet = rearrange(framed, "r f c h w -> (r h) (f w) c")
    pixels = (sheet * 255).round().to(torch.uint8).cpu().numpy()
    return Image.fromarray(np.ascontiguousarray(pixels))
