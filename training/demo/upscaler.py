"""Loss of the upscaler: v-prediction on crops of large pictures with their small ones, first of single frames, then of clips.

As in Align Your Latents 3.3: an image upscaler is trained first, then temporal layers with frozen image layers.
"""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor
from torch.nn import functional as F

from ...demo.layout import UPSCALER_TIMES
from ...demo.text import TextEncoder
from ...demo.world import Scene, centre, draw, film
from ...hosts.diffusers.motion import motion_in
from ...models.motion.module import MotionModule
from ...sampling.diffusion import add_noise, velocity
from ...sampling.upscale import X4_SIGMAS, low_res_noised
from ...video.damage.film import damaged
from ...video.damage.settings import PRESETS
from ..loop import Loss
from .config import UpscalerRun

RATES = (8, 16, 32)
SEED = 9_000_000
"""First seed of the scenes."""
LARGE = 256


@dataclass(frozen=True)
class Windows:
    """Crops of clips in both sizes."""

    latents: Tensor
    """(n, f, 4, h, w), float16, scaled to unit variance."""
    small: Tensor
    """(n, f, 3, h, w), float16, in [0, 1], of the size of the latents."""
    captions: tuple[str, ...]


def a_level_less(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of a VAE, adapted to a VAE with one level less."""
    kept = {}
    for key, value in weights.items():
        part, _, block = key.partition(".down_blocks.") if ".down_blocks." in key else key.partition(".up_blocks.")
        if not block:
            kept[key] = value
            continue
        level, _, name = block.partition(".")
        if part == "encoder" and level != "3" and not (level == "2" and name.startswith("downsamplers")):
            kept[key] = value
        if part == "decoder" and level != "0":
            kept[f"decoder.up_blocks.{int(level) - 1}.{name}"] = value
    return kept


@torch.no_grad()
def build_windows(path: Path, vae: Any, run: UpscalerRun) -> Windows:
    """Loads the crops at `path`, or encodes new ones and stores them there."""
    if path.is_file():
        stored = torch.load(path, weights_only=True)
    else:
        latents, small, captions = [], [], []
        for index in range(run.shots):
            generator = torch.Generator().manual_seed(SEED + index)
            scene = draw(generator)
            clip = window_of(scene, run, generator)
            with torch.autocast("cpu", torch.bfloat16):
                mean = vae.encode(clip * 2 - 1).latent_dist.mean
            latents.append((mean.float() * vae.config.scaling_factor).half())
            reduced = F.avg_pool2d(clip, UPSCALER_TIMES)
            small.append((damaged_clip(reduced, run.damage, SEED + index) if run.damage else reduced).half())
            captions.append(scene.caption)
        stored = {"latents": torch.stack(latents), "small": torch.stack(small), "captions": captions}
        torch.save(stored, path)
    return Windows(stored["latents"], stored["small"], tuple(stored["captions"]))


def damaged_clip(clip: Tensor, preset: str, seed: int) -> Tensor:
    """A clip `(f, 3, h, w)` in [0, 1] with the damage of a preset, without what moves or recolours the whole picture."""
    amounts = PRESETS[preset].times(weave=0.0, fading=0.0)
    return torch.stack([frame.picture for frame in damaged(clip, amounts, seed)])


def window_of(scene: Scene, run: UpscalerRun, generator: torch.Generator) -> Tensor:
    """Draws a crop of a clip with the shape in it at the middle of the clip, `(f, 3, window, window)` in [0, 1]."""
    fps = RATES[int(torch.randint(len(RATES), (), generator=generator))]
    x, y = (centre(scene, torch.tensor([run.frames / 2 / fps]))[0] * LARGE).long().tolist()
    dx, dy = (run.window // 2 + torch.randint(-run.window // 2, run.window // 2, (2,), generator=generator)).tolist()
    return film(scene, run.frames, LARGE, fps).roll((dy - y, dx - x), (2, 3))[..., : run.window, : run.window]


def upscaler_loss(run: UpscalerRun, windows: Windows, unet: Any, text: TextEncoder, motion: MotionModule) -> Loss:
    """Makes the loss, on frames of different clips or on clips, with their captions."""

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        count = run.batch if run.over_frames else run.batch * run.frames
        frames = run.frames if run.over_frames else 1
        picked = torch.randint(len(windows.captions), (count,), generator=data)
        first = 0 if run.over_frames else int(torch.randint(run.frames, (), generator=data))
        clean = rearrange(windows.latents[picked, first : first + frames], "b f c h w -> (b f) c h w").float()
        small = rearrange(windows.small[picked, first : first + frames], "b f c h w -> (b f) c h w").float()
        times = each(torch.randint(len(X4_SIGMAS), (count,), generator=data), frames)
        level = each(torch.randint(run.highest + 1, (count,), generator=data), frames)
        grain = each(torch.rand(count, generator=data) * run.grain, frames)[:, None, None, None]
        small = small + grain * torch.randn(small.shape, generator=data)
        small = low_res_noised(small * 2 - 1, torch.randn(small.shape, generator=data), level)
        noise = torch.randn(clean.shape, generator=data)
        prompts = [windows.captions[i] if float(torch.rand((), generator=data)) >= run.dropped_prompts else "" for i in picked]
        context = repeat(text(text.tokenize(prompts)), "b n d -> (b f) n d", f=frames)
        sigma = X4_SIGMAS[times]
        inputs = torch.cat([add_noise(clean, noise, sigma), small], dim=1)
        with motion_in(unet, motion, frames=frames) if run.over_frames else nullcontext():
            v = unet(inputs, times, context, class_labels=level).sample
        error = v - velocity(clean, noise, sigma)
        value = error.square().mean()
        if not run.over_frames:
            return value, {"still": float(value.detach())}
        between = rearrange(error, "(b f) c h w -> b f c h w", f=frames).diff(dim=1).square().mean()
        return value + run.flicker * between, {"clip": float(value.detach()), "between": float(between.detach())}

    return loss


def each(values: Tensor, frames: int) -> Tensor:
    """Repeats a value per clip for each frame."""
    return repeat(values, "b -> (b f)", f=frames)
