"""Loss of UNet, text encoder and motion module: v-prediction on stills, and on clips with one noise level per frame."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from ...demo.text import TextEncoder
from ...hosts.diffusers.motion import motion_in
from ...models.motion.module import MotionModule
from ...sampling.diffusion import SD_SIGMAS, add_noise, rows, velocity
from ..loop import Loss
from .config import DitRun, ImageRun, VideoRun
from .levels import draw_levels
from .library import Library, pick_rate

STILL = {"one": 1.0}
"""Kinds of noise levels for single pictures."""


@dataclass(frozen=True)
class Batch:
    """Data of a step, drawn on the CPU, so that a seed gives the same on every device."""

    clean: Tensor
    """Latents `(b f) c h w`."""
    noise: Tensor
    times: Tensor
    """(b f), timesteps."""
    given: Tensor
    """(b f) bool, frames that are clean in the input and excluded from the loss."""
    prompts: list[str]
    frames: int
    straight: Tensor
    """(b f) bool, frames on the straight path between picture and pure noise."""


def image_loss(run: ImageRun, library: Library, unet: Any, text: TextEncoder) -> Loss:
    """Makes the loss of the image stage, on single pictures."""

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        batch = draw_batch(run, library, run.batch, 1, STILL, 1.0, data)
        value = denoising_error(unet, text, None, batch, run.level_weights)
        return value, {"still": float(value.detach())}

    return loss


def video_loss(run: VideoRun, library: Library, unet: Any, text: TextEncoder, motion: MotionModule) -> Loss:
    """Makes the loss of the video stage, on clips, and for a share of the steps on stills without temporal layers."""
    pictures = run.batch * run.frames[-1]

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if float(torch.rand((), generator=kind)) < run.image_share:
            batch = draw_batch(run, library, pictures, 1, STILL, 1.0, data)
            value = denoising_error(unet, text, None, batch, run.level_weights)
            return value, {"still": float(value.detach())}
        frames = run.frames[int(torch.randint(len(run.frames), (), generator=kind))]
        batch = draw_batch(run, library, pictures // frames, frames, run.levels, run.level_bias, data)
        value = denoising_error(unet, text, motion, batch, run.level_weights)
        return value, {"clip": float(value.detach())}

    return loss


def denoising_error(
    unet: Any, text: TextEncoder, motion: MotionModule | None, batch: Batch, weights: Sequence[float] = (1.0,)
) -> Tensor:
    """Mean squared error of v over the frames that are not given clean, weighted by noise level."""
    clean, noise, times, given = (part.to(unet.device) for part in (batch.clean, batch.noise, batch.times, batch.given))
    sigma = SD_SIGMAS.to(unet.device)[times] * ~given
    tokens = text(text.tokenize(batch.prompts).to(unet.device))
    context = repeat(tokens, "b n d -> (b f) n d", f=batch.frames)
    with motion_in(unet, motion, frames=batch.frames) if motion else nullcontext():
        noisy, target = noised(clean, noise, sigma, batch.straight.to(unet.device))
        v = unet(noisy, times, context).sample
    error = (v.float() - target).square().mean((1, 2, 3)) * level_weight(times, weights)
    return error[~given].mean()


def noised(clean: Tensor, noise: Tensor, sigma: Tensor, straight: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy frames at levels sigma `(f,)`, scaled as the network's input, and the target v.

    The straight path (1 - sigma / highest) * clean + sigma * noise has the same equation dx/dsigma = (x - clean) / sigma as
    clean + sigma * noise, so every sampler follows it as well: it is that of the noise without its share of the picture.
    """
    noise = noise - rows(straight / SD_SIGMAS[-1].to(sigma.device), clean) * clean
    return add_noise(clean, noise, sigma), velocity(clean, noise, sigma)


def level_weight(times: Tensor, weights: Sequence[float]) -> Tensor:
    """Weights of timesteps `(f,)`, interpolated linearly between evenly spaced ones."""
    table = torch.tensor([*weights, weights[-1]], device=times.device)
    place = times / (len(SD_SIGMAS) - 1) * (len(weights) - 1)
    low = place.long()
    return table[low].lerp(table[low + 1], place - low)


def draw_batch(
    run: ImageRun | VideoRun, library: Library, clips: int, frames: int, kinds: dict[str, float], bias: float,
    generator: torch.Generator,
) -> Batch:  # fmt: skip
    """Draws a batch of clips. kinds: kind of noise levels -> share of the clips."""
    clean, prompts = draw_clips(run, library, clips, frames, generator)
    drawn = (draw_levels(kind, frames, bias, generator) for kind in pick(kinds, clips, generator))
    times, given = (torch.cat(part) for part in zip(*drawn, strict=True))
    noise = torch.randn(clean.shape, generator=generator)
    return Batch(clean, noise, times, given, prompts, frames, draw_paths(run.straight, clips, frames, generator))


def draw_paths(share: float, clips: int, frames: int, generator: torch.Generator) -> Tensor:
    """Draws the clips on the straight path, as a mask of frames `(b f)`."""
    return (torch.rand(clips, generator=generator) < share).repeat_interleave(frames)


def draw_clips(
    run: ImageRun | VideoRun | DitRun, library: Library, clips: int, frames: int, generator: torch.Generator
) -> tuple[Tensor, list[str]]:
    """Draws latents `(b f) c h w` and a prompt per clip."""
    parts, prompts = [], []
    for index in torch.randint(len(library.scenes), (clips,), generator=generator).tolist():
        fps = pick_rate(generator)
        parts.append(library.clip(index, frames, fps, generator))
        empty = float(torch.rand((), generator=generator)) < run.dropped_prompts
        prompts.append("" if empty else library.world.caption(library.scenes[index], fps, run.loose_prompts, generator))
    return rearrange(torch.stack(parts), "b f c h w -> (b f) c h w"), prompts


def pick(shares: dict[str, float], count: int, generator: torch.Generator) -> list[str]:
    """Draws `count` names with probabilities `shares`."""
    names = list(shares)
    drawn = torch.multinomial(torch.tensor(list(shares.values())), count, replacement=True, generator=generator)
    return [names[index] for index in drawn.tolist()]
