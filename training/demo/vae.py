"""Loss of the VAE: reconstruction of single frames, with weighted outlines."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...demo.world import centre, draw, film
from ..loop import Loss
from .config import VaeRun

Pictures = Callable[[bool, torch.Generator], Tensor]
"""(whether to crop, generator) -> pictures of a step in [0, 1]."""


def vae_loss(run: VaeRun, vae: Any, device: torch.device, draw_pictures: Pictures | None = None) -> Loss:
    """Makes the loss: absolute plus squared error with weighted outlines, and KL; on full pictures or crops.

    draw_pictures   None: pictures of the plain world
    """
    draw_pictures = draw_pictures or (lambda cropped, data: windows(run, data) if cropped else whole(run, data))

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        cropped = float(torch.rand((), generator=kind)) < run.crop_share
        pictures = draw_pictures(cropped, data).to(device) * 2 - 1
        posterior = vae.encode(pictures).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=data).to(device)
        out = vae.decode(posterior.mean + posterior.std * noise).sample
        weight = 1 + run.edges * outlines(pictures)
        gap = out - pictures
        error = ((gap.abs() + gap.square()) * weight).mean() / weight.mean()
        kl = posterior.kl().mean() / posterior.mean[0].numel()
        figures = {"error": error, "kl": kl, "absolute": gap.abs().mean()}
        return error + run.kl * kl, {name: float(value.detach()) for name, value in figures.items()}

    return loss


def whole(run: VaeRun, generator: torch.Generator) -> Tensor:
    """Draws full pictures in [0, 1], with as many pixels in total as a batch of crops."""
    count = max(1, run.batch * run.crop**2 // run.size**2)
    return torch.cat([film(draw(generator), 1, run.size) for _ in range(count)])


def windows(run: VaeRun, generator: torch.Generator) -> Tensor:
    """Draws crops of torus pictures in [0, 1], centred within half a crop of the shape's centre."""
    parts = []
    for _ in range(run.batch):
        scene = draw(generator)
        x, y = (centre(scene, torch.zeros(1))[0] * run.size).long().tolist()
        dx, dy = torch.randint(run.crop + 1, (2,), generator=generator).tolist()
        rolled = film(scene, 1, run.size).roll((dy - y, dx - x), (2, 3))
        parts.append(rolled[..., : run.crop, : run.crop])
    return torch.cat(parts)


def outlines(pictures: Tensor) -> Tensor:
    """Mask with 1 near outlines and 0 on plain background, `(b, 1, h, w)`, for pictures in [-1, 1]."""
    span = F.max_pool2d(pictures, 5, 1, 2) + F.max_pool2d(-pictures, 5, 1, 2)
    return (span.amax(1, keepdim=True) > 0.2).float()
