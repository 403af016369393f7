"""A pan of one frame's latents into a clip: Text2Video-Zero's motion dynamics (arXiv 2303.13439, section 3.3.1)."""

import torch
from torch import Tensor
from torch.nn import functional as F

GRID = 512
"""Side of the grid on which a motion is given, whatever the size of the pictures."""


def motion_field(strength: tuple[float, float], frames: Tensor) -> Tensor:
    """An even motion, right and down in pixels per frame: `(f, 2, 512, 512)`."""
    per_frame = torch.tensor(strength)[:, None, None] * frames.reshape(-1, 1, 1, 1)
    return per_frame.expand(len(frames), 2, GRID, GRID)


def panned(latent: Tensor, motion: Tensor) -> Tensor:
    """The latent `(c, h, w)` of one frame, read where each frame's motion `(f, 2, 512, 512)` leads: `(f, c, h, w)`.

    Nearest cells, reflected at the edges. As in the published code, pixels stand at their upper left corners, half a pixel off.
    """
    line = torch.arange(GRID, dtype=motion.dtype, device=motion.device)
    pixels = torch.stack(torch.meshgrid(line, line, indexing="xy"))  # right, down
    places = (pixels + motion) * 2 / GRID - 1
    places = F.interpolate(places, latent.shape[1:], mode="bilinear").movedim(1, -1)
    each = latent.expand(len(motion), *latent.shape)
    return F.grid_sample(each, places.to(latent), mode="nearest", padding_mode="reflection", align_corners=False)


def motion_dynamics(low: Tensor, high: Tensor, motion: Tensor, noise: Tensor, kept: float) -> Tensor:
    """A clip `(f, c, h, w)` at a noise level, from one frame at that level and at a lower one.

    low      latent of the frame at the lower level `(c, h, w)`, of constant variance
    high     at the level of the clip, which is the clip's first frame
    motion   of the other frames `(f - 1, 2, 512, 512)`
    noise    of the other frames `(f - 1, c, h, w)`
    kept     share of the variance that is left between the two levels
    """
    others = kept**0.5 * panned(low, motion) + (1 - kept) ** 0.5 * noise
    return torch.cat([high[None], others])
