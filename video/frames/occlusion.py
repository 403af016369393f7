"""Where the flow between two pictures can be trusted, and flow and trust at the size of latents.

Rerender-A-Video's measure (arXiv 2306.07954), written from its formulas. `warp.trusted` is another one, of squared lengths.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from .warp import warped

SPREAD, SIGMA = 9, 18.0
"""Side of the neighbourhood that an occluded pixel takes in, and of the Gaussian blur after it; the blur's width."""


def occluded(there: Tensor, back: Tensor, share: float = 0.01, floor: float = 0.5) -> Tensor:
    """Pixels `(f, 1, h, w)` bool that have no counterpart in the other picture.

    there   flow to the other picture `(f, 2, h, w)`, in pixels
    back    flow from the other picture
    A pixel is occluded where |there + back| > share * (|there| + |back|) + floor. In the sum `back` is read where `there` leads
    (0 beyond the edge), on the right side at the pixel itself.
    """
    apart = (there + warped(back, there, "bilinear")).norm(dim=1, keepdim=True)
    length = there.norm(dim=1, keepdim=True) + back.norm(dim=1, keepdim=True)
    return apart > share * length + floor


def softened(occluded: Tensor) -> Tensor:
    """Occlusion `(f, 1, h, w)` in [0, 1]: spread to the neighbourhood, blurred, and whole where it was found."""
    found = occluded.float()
    spread = F.max_pool2d(found, SPREAD, stride=1, padding=SPREAD // 2)
    offsets = torch.arange(SPREAD, device=found.device) - SPREAD // 2
    line = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    line = line / line.sum()
    padded = F.pad(spread, (SPREAD // 2,) * 4, mode="reflect")
    blurred = F.conv2d(F.conv2d(padded, line.reshape(1, 1, 1, -1)), line.reshape(1, 1, -1, 1))
    return (blurred + found).clamp(0, 1)


def latent_trust(occlusion: Tensor, scale: int = 8) -> Tensor:
    """Trust in each latent cell `(f, 1, h, w)`: that of its least trusted pixel."""
    return 1 - F.max_pool2d(occlusion, scale)


def latent_flow(flow: Tensor, scale: int = 8) -> Tensor:
    """A flow at the size of latents and in their cells `(f, 2, h, w)`, bilinear without smoothing."""
    return F.interpolate(flow / scale, scale_factor=1 / scale, mode="bilinear")
