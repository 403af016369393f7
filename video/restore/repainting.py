"""Masks of damage for a network that works on latents, and its pictures put back at the precision of pixels."""

import torch
from torch import Tensor
from torch.nn import functional as F


def latent_cells(mask: Tensor, side: int, grow: int) -> Tensor:
    """The latent pixels that a mask `(h, w)` bool touches, and `grow` more around them, `(h / side, w / side)` bool.

    Every touched one counts: a smaller picture of the mask loses most of thin damage.
    """
    cells = F.max_pool2d(mask[None, None].float(), side)
    return F.max_pool2d(cells, 2 * grow + 1, 1, grow)[0, 0] > 0


def inner_weight(mask: Tensor, feather: int) -> Tensor:
    """Weight of new pixels `(h, w)`: 0 outside a mask `(h, w)` bool, inside it rising to 1 over `feather` pixels."""
    weight, inside = mask.float(), mask
    for _ in range(feather):
        outside = F.pad((~inside)[None, None].float(), (1,) * 4)
        inside = F.max_pool2d(outside, 3, 1)[0, 0] == 0
        weight = weight + inside.float()
    return weight / (feather + 1)


def pasted(picture: Tensor, new: Tensor, weight: Tensor) -> Tensor:
    """A picture `(3, h, w)` with new pixels where the weight `(h, w)` is above 0; all others keep every bit."""
    return torch.where(weight > 0, picture.lerp(new, weight), picture)


def padded_to(picture: Tensor, side: int, repeated: bool) -> Tensor:
    """A picture `(c, h, w)` with rows and columns added at its end up to multiples of `side`: its last ones, or zeros."""
    down, right = -picture.shape[-2] % side, -picture.shape[-1] % side
    if not (down or right):
        return picture
    return F.pad(picture[None], (0, right, 0, down), "replicate" if repeated else "constant")[0]
