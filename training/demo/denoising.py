"""What UNet, text encoder and motion module learn: v-prediction on stills, and on clips with one noise level per frame."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from ...demo.text import TextEncoder
from ...hosts.diffusers.motion import motion_in
from ...models.motion.module import MotionModule
from ...sampling.diffusion import SD_SIGMAS, add_noise, velocity
from ..loop import Loss
from .config import ImageRun, VideoRun
from .levels import draw_levels
from .library import Library, pick_rate

STILL = {"one": 1.0}
"""A picture has one level, drawn evenly."""


@dataclass(frozen=True)
class Batch:
    """What a step learns from, drawn on the CPU so that a seed means the same everywhere."""

    clean: Tensor
    """Latents `(b f) c h w`."""
    noise: Tensor
    times: Tensor
    """(b f), timesteps."""
    given: Tensor
    """(b f) bool, frames that are shown clean and not learned from."""
    prompts: list[str]
    frames: int


def image_loss(run: ImageRun, library: Library, unet: Any, text: TextEncoder) -> Loss:
    """Single pictures: the image model, before any motion."""

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = draw_batch(library, run.batch, 1, run.dropped_prompts, STILL, 1.0, data)
        value = denoising_error(unet, text, None, batch)
        return value, {"still": float(value.detach())}

    return loss


def video_loss(run: VideoRun, library: Library, unet: Any, text: TextEncoder, motion: MotionModule) -> Loss:
    """Clips, and a share of steps on stills with the temporal layers bypassed."""
    pictures = run.batch * run.frames[-1]

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if float(torch.rand((), generator=kind)) < run.image_share:
            batch = draw_batch(library, pictures, 1, run.dropped_prompts, STILL, 1.0, data)
            value = denoising_error(unet, text, None, batch)
            return value, {"still": float(value.detach())}
        frames = run.frames[int(torch.randint(len(run.frames), (), generator=kind))]
        batch = draw_batch(library, pictures // frames, frames, run.dropped_prompts, run.levels, run.level_bias, data)
        value = denoising_error(unet, text, motion, batch)
        return value, {"clip": float(value.detach())}

    return loss


def denoising_error(unet: Any, text: TextEncoder, motion: MotionModule | None, batch: Batch) -> Tensor:
    """Mean squared error of v over the frames that are not given clean."""
    clean, noise, times, given = (part.to(unet.device) for part in (batch.clean, batch.noise, batch.times, batch.given))
    sigma = SD_SIGMAS.to(unet.device)[times] * ~given
    tokens = text(text.tokenize(batch.prompts).to(unet.device))
    context = repeat(tokens, "b n d -> (b f) n d", f=batch.frames)
    with motion_in(unet, motion, frames=batch.frames) if motion else nullcontext():
        v = unet(add_noise(clean, noise, sigma), times, context).sample
    error = (v - velocity(clean, noise, sigma)).square().mean((1, 2, 3))
    return error[~given].mean()


def draw_batch(
    library: Library, clips: int, frames: int, dropped: float, kinds: dict[str, float], bias: float, generator: torch.Generator
) -> Batch:
    clean, prompts = draw_clips(library, clips, frames, dropped, generator)
    drawn = (draw_levels(kind, frames, bias, generator) for kind in pick(kinds, clips, generator))
    times, given = (torch.cat(part) for part in zip(*drawn, strict=True))
    return Batch(clean, torch.randn(clean.shape, generator=generator), times, given, prompts, frames)


def draw_clips(
    library: Library, clips: int, frames: int, dropped: float, generator: torch.Generator
) -> tuple[Tensor, list[str]]:
    """Latents `(b f) c h w` and a prompt per clip."""
    parts, prompts = [], []
    for index in torch.randint(len(library.scenes), (clips,), generator=generator).tolist():
        fps = pick_rate(generator)
        parts.append(library.clip(index, frames, fps, generator))
        empty = float(torch.rand((), generator=generator)) < dropped
        prompts.append("" if empty else library.prompt(index, fps))
    return rearrange(torch.stack(parts), "b f c h w -> (b f) c h w"), prompts


def pick(shares: dict[str, float], count: int, generator: torch.Generator) -> list[str]:
    names = list(shares)
    drawn = torch.multinomial(torch.tensor(list(shares.values())), count, replacement=True, generator=generator)
    return [names[index] for index in drawn.tolist()]
