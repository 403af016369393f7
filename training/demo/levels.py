"""Noise levels per frame in training, so that one model supports several methods of video generation.

one       all frames share a level: text to video with any sampler
ramp      levels rise along the clip: the diagonal of FIFO sampling
first     frame 0 is clean: image to video
ends      first and last are clean: a transition
every     every k-th frame is clean: in-between frames
"""

import torch
from torch import Tensor

from ...sampling.diffusion import SD_SIGMAS

KINDS = ("one", "ramp", "first", "ends", "every")


def draw_levels(kind: str, frames: int, bias: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draws timesteps `(f,)` in [0, 1000) and the mask of clean frames `(f,)` bool.

    bias  1 is uniform; 0.5 is in proportion to the timestep: motion is decided at high noise levels, which take longest to
          train
    """
    steps = len(SD_SIGMAS)
    high = torch.rand((), generator=generator) ** bias
    shared = (high * steps).long().clamp(max=steps - 1).expand(frames)
    given = torch.zeros(frames, dtype=torch.bool)
    if kind == "ramp":
        span = torch.rand((), generator=generator) * steps  # from nearly level to the whole range over one clip
        start = high * (steps - span)
        return (start + span * torch.linspace(0, 1, frames)).long().clamp(max=steps - 1), given
    if kind in ("first", "ends"):
        given[0] = True
    if kind == "ends":
        given[-1] = True
    if kind == "every":
        given[:: int(torch.randint(2, 6, (), generator=generator))] = True
    return torch.where(given, 0, shared), given
