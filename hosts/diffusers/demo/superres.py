"""The embedded model's temporal super-resolution on diffusers: frame interpolation and x4 upscaling."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ....demo.layout import (
    FOLDER,
    FRAMES,
    NOISE_LEVELS,
    UPSCALER,
    UPSCALER_BLOCKS,
    UPSCALER_LEVELS,
    UPSCALER_MOTION,
    UPSCALER_SCALING,
    UPSCALER_VAE,
    load_text,
    part_path,
)
from ....demo.text import TextEncoder
from ....models.motion.loading import load_motion
from ....models.motion.module import MotionModule
from ....sampling.diffusion import SD_SIGMAS, spaced_sigmas, v_denoiser
from ....sampling.interpolation import Filler, InterpolationSpec, fill
from ....sampling.noise import FrameNoise
from ....sampling.stream import Work, euler_stream
from ....sampling.upscale import WINDOWS, X4_SIGMAS, laid_out
from ....video.frames.colour import STEADY, carried
from ..motion import motion_in
from .model import Demo, filled, new_unet, new_vae

STEPS = 12


def between(
    demo: Demo, keys: Iterable[Tensor], factor: int, prompt: str = "", *, seed: int = 0, steps: int = STEPS, vae: Any = None
) -> Iterator[Tensor]:
    """Interpolates frames between key frames `(3, h, w)` in [0, 1], one at a time; yields key frames too.

    factor   new frame rate over the old one
    vae      function that decodes instead of the embedded model's image VAE: scaled latents `(f, 4, h, w)` to `(f, 3, h, w)`
    """
    source = (demo.encode(key[None])[0] for key in keys)
    first = next(source)
    noise = FrameNoise(seed, tuple(first.shape))
    sigmas = spaced_sigmas(steps, SD_SIGMAS)
    latents = fill(_filler(demo, prompt), chain([first], source), InterpolationSpec(factor, FRAMES), sigmas, noise)
    for latent in latents:
        yield (vae or demo.decode)(latent[None])[0]


def _filler(demo: Demo, prompt: str) -> Filler:
    """The embedded model as a `Filler`: given frames replace rows of the clip, at noise level zero."""
    assert demo.motion, "interpolation needs the motion module"
    motion, text = demo.motion, demo.text(demo.text.tokenize([demo.canonical_prompt(prompt, picture=True)]))

    @torch.inference_mode()
    def clean(x: Tensor, sigma: float, numbers: Sequence[int], given: Mapping[int, Tensor]) -> Tensor:
        x, levels = x.clone(), torch.full((len(x),), sigma)
        for row, number in enumerate(numbers):
            if number in given:
                x[row], levels[row] = given[number], 0
        positive = text.expand(len(x), -1, -1)
        with motion_in(demo.unet, motion, frames=len(x)):
            return demo.guided(positive, positive, 1.0)(x, levels)  # at scale 1 the negative half is not computed

    return clean


def new_upscaler() -> Any:
    """A small UNet of the x4 upscaler's design, untrained, 2 M parameters: seven input channels, noise levels as classes."""
    lowest_only = (*(False,) * (UPSCALER_LEVELS - 1), True)
    return new_unet(lowest_only, UPSCALER_BLOCKS, 7, NOISE_LEVELS + 1)


def new_upscaler_vae() -> Any:
    """The upscaler's VAE, untrained: 256 px to 64x64 latents of 4 channels."""
    return new_vae(UPSCALER_LEVELS, UPSCALER_SCALING)


@dataclass(frozen=True)
class Upscaler:
    """The embedded upscaler's parts, ready to run."""

    vae: Any
    unet: Any
    text: TextEncoder
    motion: MotionModule | None
    """None: each frame is upscaled by itself."""

    def enlarge(
        self, small: Iterable[Tensor], prompt: str = "", *, seed: int = 0, level: int = 20, steps: int = STEPS,
        colours: str = STEADY,
    ) -> Iterator[Tensor]:  # fmt: skip
        """Upscales frames `(3, h, w)` in [0, 1], one at a time, to `(3, 4 h, 4 w)`.

        level     noise level of the small pictures, 0 to `NOISE_LEVELS`
        colours   method of matching the small frames' colours, or `off`
        """
        sigmas, pending = spaced_sigmas(steps, X4_SIGMAS), list[Tensor]()

        def noisy() -> Iterator[Tensor]:
            for number, frame in enumerate(small):
                pending.append(frame)
                yield laid_out(number, frame, level, float(sigmas[0]), seed)

        latents = euler_stream(self.work(prompt, level), noisy(), sigmas, WINDOWS)
        pairs = ((self.decoded(latent[:4]), pending.pop(0)) for latent in latents)
        yield from (frame for frame, _ in pairs) if colours == "off" else carried(pairs, colours)

    def decoded(self, latent: Tensor) -> Tensor:
        """Decodes a scaled latent `(4, h, w)` to a frame `(3, 4 h, 4 w)` in [0, 1]."""
        with torch.inference_mode():
            return (self.vae.decode(latent[None] / self.vae.config.scaling_factor).sample[0] / 2 + 0.5).clamp(0, 1)

    def work(self, prompt: str, level: int) -> Work:
        """The UNet as a denoiser of windows `(f, 7, h, w)`: noisy latents and small pictures, concatenated."""
        context = self.text(self.text.tokenize([prompt]))

        @torch.inference_mode()
        def clean(window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
            frames, small = len(window), window[:, 4:]
            levels = torch.full((frames,), level)

            def predict(x: Tensor, times: Tensor) -> Tensor:
                text = context.expand(frames, -1, -1)
                return self.unet(torch.cat([x, small], dim=1), times, text, class_labels=levels).sample

            with motion_in(self.unet, self.motion, frames=frames) if self.motion else nullcontext():
                return v_denoiser(predict, X4_SIGMAS)(window[:, :4], torch.full((frames,), sigma))

        return clean


def load_upscaler(folder: Path = FOLDER) -> Upscaler:
    """Loads the embedded upscaler in float32. Raises ValueError where a file is missing, corrupt or another model's."""
    motion, _ = load_motion(part_path(UPSCALER_MOTION, folder))
    parts = ((UPSCALER_VAE, new_upscaler_vae()), (UPSCALER, new_upscaler()))
    vae, unet = (filled(name, network, folder) for name, network in parts)
    return Upscaler(vae, unet, load_text(folder), motion.float())
