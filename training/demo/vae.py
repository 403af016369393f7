"""What the VAE learns: to give back single frames of the world, outlines above all."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ...demo.world import centre, draw, film
from ..loop import Loss
from .config import VaeRun


def vae_loss(run: VaeRun, vae: Any, device: torch.device) -> Loss:
    """Absolute plus squared error, outlines weighted, and the KL term; whole pictures or windows around the shape."""

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        cropped = float(torch.rand((), generator=kind)) < run.crop_share
        pictures = (windows(run, data) if cropped else whole(run, data)).to(device) * 2 - 1
        spread = vae.encode(pictures).latent_dist
        noise = torch.randn(spread.mean.shape, generator=data).to(device)
        out = vae.decode(spread.mean + spread.std * noise).sample
        weight = 1 + run.edges * outlines(pictures)
        gap = out - pictures
        error = ((gap.abs() + gap.square()) * weight).mean() / weight.mean()
        kl = spread.kl().mean() / spread.mean[0].numel()
        figures = {"error": error, "kl": kl, "absolute": gap.abs().mean()}
        return error + run.kl * kl, {name: float(value.detach()) for name, value in figures.items()}

    return loss


def whole(run: VaeRun, generator: torch.Generator) -> Tensor:
    """As many whole pictures as have the pixels of a batch of windows, in [0, 1]."""
    count = max(1, run.batch * run.crop**2 // run.size**2)
    return torch.cat([film(draw(generator), 1, run.size) for _ in range(count)])


def windows(run: VaeRun, generator: torch.Generator) -> Tensor:
    """Windows of a torus picture whose middle lies within half a window of the shape's, in [0, 1]."""
    parts = []
    for _ in range(run.batch):
        scene = draw(generator)
        x, y = (centre(scene, torch.zeros(1))[0] * run.size).long().tolist()
        dx, dy = torch.randint(run.crop + 1, (2,), generator=generator).tolist()
        rolled = film(scene, 1, run.size).roll((dy - y, dx - x), (2, 3))
        parts.append(rolled[..., : run.crop, : run.crop])
    return torch.cat(parts)


def outlines(pictures: Tensor) -> Tensor:
    """1 near outlines and 0 on plain ground, `(b, 1, h, w)`, for pictures in [-1, 1]."""
    span = F.max_pool2d(pictures, 5, 1, 2) + F.max_pool2d(-pictures, 5, 1, 2)
    return (span.amax(1, keepdim=True) > 0.2).float()
