"""Loss of the few-step stage: latent consistency distillation of the video stage, for live shots.

Latent consistency models (arXiv 2310.04378): the student's clean prediction at a level equals its own prediction one step
further down the path of the teacher, which is guided by `guidance` and takes one DDIM step between neighbours of the 50 levels.
At the lowest level it equals the teacher's prediction. The student's own prediction without gradients is the target, and the
distance is pseudo-Huber (arXiv 2310.14189). Frames of a clip may have levels of their own, as in a live shot's queue.
"""

import copy
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from einops import repeat
from torch import Tensor

from ...demo.text import TextEncoder
from ...hosts.diffusers.motion import motion_in
from ...models.motion.module import MotionModule
from ...sampling.diffusion import SD_SIGMAS, rows, timesteps, v_denoiser
from ...sampling.live import ORIGINAL_STEPS
from ...sampling.schedule import every_nth
from ..loop import Loss
from .config import FewStepRun
from .denoising import STILL, Batch, draw_batch
from .library import Library

LEVELS = every_nth(SD_SIGMAS, ORIGINAL_STEPS)
"""Noise levels of latent consistency models, cleanest first `(50,)`."""


@dataclass(frozen=True)
class Networks:
    """UNet, text encoder and motion module."""

    unet: Any
    text: TextEncoder
    motion: MotionModule

    def clean(self, x: Tensor, sigma: Tensor, prompts: list[str], frames: int, moving: bool) -> Tensor:
        """Predicts the clean frames of x = clean + sigma * noise, `(b f, c, h, w)`."""
        tokens = self.text(self.text.tokenize(prompts).to(x.device))
        context = repeat(tokens, "b n d -> (b f) n d", f=frames)
        with motion_in(self.unet, self.motion, frames=frames) if moving else nullcontext():
            return v_denoiser(lambda noisy, times: self.unet(noisy, times, context).sample)(x, sigma)


def few_step_loss(run: FewStepRun, library: Library, student: Networks) -> Loss:
    """Makes the loss. The student has the weights that the teacher keeps."""
    teacher = copy.deepcopy(student)
    for network in (teacher.unet, teacher.text, teacher.motion):
        network.requires_grad_(False).eval()

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        still = float(torch.rand((), generator=kind)) < run.image_share
        frames = 1 if still else run.frames[int(torch.randint(len(run.frames), (), generator=kind))]
        clips = run.batch * run.frames[-1] // frames
        levels, bias = (STILL, 1.0) if still else (run.levels, run.level_bias)
        value = consistency_error(run, teacher, student, draw_batch(run, library, clips, frames, levels, bias, data))
        return value, {"still" if still else "clip": float(value.detach())}

    return loss


def consistency_error(run: FewStepRun, teacher: Networks, student: Networks, batch: Batch) -> Tensor:
    """Mean pseudo-Huber distance of the student's predictions at neighbouring levels of the teacher's path."""
    device, moving = student.unet.device, batch.frames > 1
    clean, noise = batch.clean.to(device), batch.noise.to(device)
    index = nearest_level(batch.times).to(device)
    table = torch.cat([torch.zeros(1), LEVELS]).to(clean)  # number 0: without noise
    now, after = table[index + 1], table[index]
    x = clean + rows(now, clean) * noise
    with torch.no_grad():
        guided = teacher.clean(x, now, batch.prompts, batch.frames, moving)
        empty = teacher.clean(x, now, [""] * len(batch.prompts), batch.frames, moving)
        guided = empty + run.guidance * (guided - empty)
        stepped = guided + rows(after / now, x) * (x - guided)
        target = student.clean(stepped, after, batch.prompts, batch.frames, moving)
        target = torch.where(rows(after == 0, x) > 0, guided, target)
    error = (student.clean(x, now, batch.prompts, batch.frames, moving) - target).square().mean((1, 2, 3))
    return ((error + run.huber**2).sqrt() - run.huber).mean()


def nearest_level(times: Tensor) -> Tensor:
    """Index of the level of `LEVELS` that is nearest to each of the model's timesteps `(f,)`."""
    own = timesteps(LEVELS).to(times)
    return (times[:, None] - own).abs().argmin(1)
