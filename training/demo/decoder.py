"""Loss of the temporal decoder: reconstruction of clips from the frozen encoder's latents, frame by frame.

Blattmann et al. 2023 (Align Your Latents, arXiv 2304.08818) 3.1.1: layers over frames are added to the image autoencoder's
decoder and fine-tuned on video with a discriminator of 3-D convolutions on patches; the encoder is frozen, so latents stay
compatible. In place of a perceptual network, which would need further weights, the loss uses features of the frozen encoder.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ...demo.world import centre, draw, film
from ...models.vae.kl import KLVae
from ..loop import Loss
from .config import DecoderRun
from .library import pick_rate
from .vae import outlines


class ClipCritic(nn.Module):
    """Discriminator of real and decoded clips, on patches in space and time (hinge loss; Lim and Ye 2017, arXiv 1705.02894)."""

    def __init__(self, width: int):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv3d(3, width, (3, 4, 4), (1, 2, 2), 1), nn.LeakyReLU(0.2),
            nn.Conv3d(width, 2 * width, (3, 4, 4), (1, 2, 2), 1), nn.GroupNorm(8, 2 * width), nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 2 * width, (3, 3, 3), 1, 1), nn.GroupNorm(8, 2 * width), nn.LeakyReLU(0.2),
            nn.Conv3d(2 * width, 1, 3, 1, 1),
        )  # fmt: skip

    def forward(self, clip: Tensor) -> Tensor:  # (f, 3, h, w) -> (1, 1, f, h / 4, w / 4)
        return self.net(rearrange(clip, "f c h w -> 1 c f h w"))


def decoder_loss(run: DecoderRun, vae: KLVae, critic: ClipCritic, device: torch.device) -> Loss:
    """Makes the loss: weighted reconstruction, error of neighbour differences, encoder features, and adversarial loss.

    A step has crops around the shape, or uncropped clips with as many pixels in total (one at least).
    """

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        cropped = float(torch.rand((), generator=kind)) < run.crop_share
        frames = run.frames[int(torch.randint(len(run.frames), (), generator=kind))]
        figures: dict[str, Tensor] = {}
        count = run.batch if cropped else max(1, run.batch * run.crop**2 // run.size**2)
        for _ in range(count):
            truth = clip_of_world(run, frames, cropped, data).to(device) * 2 - 1
            with torch.no_grad():
                mean, logvar = vae.moments(truth)
            noise = torch.randn(mean.shape, generator=data).to(device)
            out = vae.decode(mean + run.noise * torch.exp(logvar / 2) * noise)
            for name, value in errors(run, vae, critic, truth, out).items():
                figures[name] = figures.get(name, torch.zeros((), device=device)) + value / count
        weights = {"error": 1.0, "flicker": run.flicker, "features": run.features, "fooling": run.adversarial, "telling": 1.0}
        total = torch.stack([weight * figures[name] for name, weight in weights.items()]).sum()
        return total, {name: float(value.detach()) for name, value in figures.items()}

    return loss


def errors(run: DecoderRun, vae: KLVae, critic: ClipCritic, truth: Tensor, out: Tensor) -> dict[str, Tensor]:
    """Every term by name, unweighted. `fooling` has gradients for the decoder only, `telling` for the critic only."""
    weight = 1 + run.edges * outlines(truth)
    gap = out - truth
    jump = gap[1:] - gap[:-1]
    frozen = {name: value.detach() for name, value in critic.state_dict().items()}
    return {
        "error": ((gap.abs() + gap.square()) * weight).mean() / weight.mean(),
        "flicker": ((jump.abs() + jump.square()) * weight[1:]).mean() / weight.mean(),
        "features": F.l1_loss(features(vae, out), features(vae, truth)),
        "fooling": -functional_call(critic, frozen, out).mean(),
        "telling": F.relu(1 - critic(truth)).mean() + F.relu(1 + critic(out.detach())).mean(),
    }


def features(vae: KLVae, frames: Tensor) -> Tensor:
    """Features of the frozen encoder at half resolution, with unit norm over channels, as in LPIPS."""
    maps = vae.encoder.down[0](vae.encoder.conv_in(frames))
    return F.normalize(maps, dim=1)


def clip_of_world(run: DecoderRun, frames: int, cropped: bool, generator: torch.Generator) -> Tensor:
    """Draws a clip `(f, 3, h, w)` in [0, 1]: uncropped, or a crop of the torus around the shape at the middle of the clip."""
    scene, fps = draw(generator), pick_rate(generator)
    clip = film(scene, frames, run.size, fps)
    if not cropped:
        return clip
    x, y = (centre(scene, torch.tensor([frames / 2 / fps]))[0] * run.size).long().tolist()
    dx, dy = torch.randint(run.crop + 1, (2,), generator=generator).tolist()
    return clip.roll((dy - y, dx - x), (2, 3))[..., : run.crop, : run.crop]
