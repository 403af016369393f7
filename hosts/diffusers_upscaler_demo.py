"""The embedded upscaler on diffusers: small clips to clips four times as wide, without ComfyUI."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor

from ..models.demo import HEADS, NOISE_LEVELS, UPSCALER_BLOCKS, UPSCALER_LEVELS, UPSCALER_SCALING, WIDTH
from ..models.motion import MotionModule
from ..models.text import TextEncoder
from ..sampling.diffusion import euler, spaced_sigmas, v_denoiser
from ..sampling.noise import FrameNoise
from ..sampling.upscale import X4_SIGMAS, low_res_noised
from .diffusers import motion_in
from .diffusers_demo import new_vae

STEPS = 12


def new_upscaler() -> Any:
    """Stable Diffusion's x4 upscaler in small, 1.5 M parameters, untrained: seven channels in, noise levels as classes."""
    flat, deep = "DownBlock2D", "CrossAttnDownBlock2D"
    return UNet2DConditionModel(
        in_channels=7,
        out_channels=4,
        block_out_channels=(WIDTH,) * UPSCALER_LEVELS,
        layers_per_block=UPSCALER_BLOCKS,
        cross_attention_dim=WIDTH,
        attention_head_dim=HEADS,  # diffusers' word for the number of heads
        down_block_types=(*(flat,) * (UPSCALER_LEVELS - 1), deep),
        up_block_types=("CrossAttnUpBlock2D", *("UpBlock2D",) * (UPSCALER_LEVELS - 1)),
        norm_num_groups=32,
        num_class_embeds=NOISE_LEVELS + 1,
    )


def new_upscaler_vae() -> Any:
    """256 px -> 64x64 latents of 4 channels, untrained."""
    return new_vae(UPSCALER_LEVELS, UPSCALER_SCALING)


@dataclass(frozen=True)
class Upscaler:
    """The embedded upscaler's parts."""

    vae: Any
    unet: Any
    text: TextEncoder
    motion: MotionModule | None
    """None upscales frame by frame."""

    @torch.inference_mode()
    def enlarge(self, small: Tensor, prompt: str = "", seed: int = 0, level: int = 20, steps: int = STEPS) -> Tensor:
        """A clip `(f, 3, h, w)` in [0, 1], four times as high and wide. level: noise level of the small pictures."""
        frames, _, height, width = small.shape
        field, grain = (FrameNoise(seed + n, (c, height, width)) for n, c in ((0, 4), (1, 3)))
        numbers = range(frames)
        levels = torch.full((frames,), level)
        seen = low_res_noised(small * 2 - 1, torch.stack([grain.at(n, 0) for n in numbers]), levels)
        context = self.text(self.text.tokenize([prompt])).expand(frames, -1, -1)
        sigmas = spaced_sigmas(steps, X4_SIGMAS)

        def predict(x: Tensor, times: Tensor) -> Tensor:
            return self.unet(torch.cat([x, seen], dim=1), times, context, class_labels=levels).sample

        with motion_in(self.unet, self.motion, frames=frames) if self.motion else nullcontext():
            x = torch.stack([field.at(n, 0) for n in numbers]) * sigmas[0]
            latents = euler(v_denoiser(predict, X4_SIGMAS), x, sigmas)
        decoded = [self.vae.decode(part / self.vae.config.scaling_factor).sample for part in latents.split(4)]
        return (torch.cat(decoded) / 2 + 0.5).clamp(0, 1)
