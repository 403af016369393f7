"""The embedded model on diffusers: from a prompt to frames without ComfyUI.

demo = load_demo()
clip = demo.film("a red circle moving right on black", frames=16, seed=1)     # (16, 3, 64, 64) in [0, 1]
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from einops import rearrange, repeat
from torch import Tensor

from ....demo.layout import (
    FOLDER,
    GUIDANCE_END,
    HEADS,
    LEVELS,
    PATCH,
    PROJECTOR,
    TRANSFORMERS,
    UNET_BLOCKS,
    VAE_BLOCKS,
    VISION,
    VISION_HEADS,
    VISION_LAYERS,
    WIDTH,
    load_text,
    part_path,
    read_part,
)
from ....demo.prompt import read_prompt
from ....demo.text import TextEncoder
from ....demo.words import PIXELS, check_clip
from ....models.image_prompt.loading import LoadedProjector, load_projector
from ....models.image_prompt.pixels import pixels_of
from ....models.motion.loading import load_motion
from ....models.motion.module import MotionModule
from ....sampling.diffusion import SD_SIGMAS, Denoiser, euler, spaced_sigmas, v_denoiser
from ....sampling.guidance import Interval, limited
from ..image_prompt import null_states, picture_in, states_of
from ..motion import motion_in, unet_places

log = logging.getLogger(__name__)

STEPS = 25
GUIDANCE = 3.0
GUIDED = Interval.between(0.0, GUIDANCE_END, SD_SIGMAS)
FPS = 8


def new_vae(levels: int = LEVELS, scaling: float = 0.18215) -> Any:
    """64 px -> 8x8 latents of 4 channels, 1.5 M parameters, untrained; with a level less, 16x16 latents."""
    layout: dict[str, Any] = {
        "block_out_channels": (WIDTH,) * levels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": VAE_BLOCKS,
    }
    return AutoencoderKL(latent_channels=4, norm_num_groups=32, scaling_factor=scaling, **layout)


def new_unet(
    transformers: tuple[bool, ...] = TRANSFORMERS, blocks: int = UNET_BLOCKS, channels: int = 4, classes: int | None = None
) -> Any:
    """4.3 M parameters, untrained.

    transformers   which levels have them, widest picture first
    blocks         residual blocks per level on the way down
    channels       that go in
    classes        how many there are; None: none
    """
    return UNet2DConditionModel(
        in_channels=channels,
        out_channels=4,
        block_out_channels=(WIDTH,) * len(transformers),
        layers_per_block=blocks,
        cross_attention_dim=WIDTH,
        attention_head_dim=HEADS,  # diffusers' word for the number of heads
        down_block_types=tuple("CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in transformers),
        up_block_types=tuple("CrossAttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(transformers)),
        norm_num_groups=32,
        num_class_embeds=classes,
    )


@dataclass(frozen=True)
class Sight:
    """What sees pictures: open_clip's image tower and an image projector."""

    tower: Any
    projector: LoadedProjector

    def tokens(self, pictures: Tensor) -> Tensor:
        """Image tokens of pictures `(b, 3, h, w)` in [0, 1], and those of none last `(b + 1, n, d)`."""
        look = self.projector.look
        seen = states_of(self.tower, pixels_of(pictures, PIXELS, look.crop), look)
        return self.projector.network.projector(torch.cat([seen, null_states(self.tower, look, PIXELS)]))


@dataclass(frozen=True)
class Demo:
    """The embedded model's parts, ready to run."""

    vae: Any
    unet: Any
    text: TextEncoder
    motion: MotionModule | None
    """None gives the image model frame by frame."""
    sight: Sight | None = None
    """What sees pictures; None where it is not there."""
    interval: Interval = GUIDED
    """Noise levels at which guidance acts; at others a call computes the prompt alone."""

    def film(
        self,
        prompt: str,
        frames: int = 16,
        seed: int = 0,
        *,
        fps: int | None = None,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        size: int = PIXELS,
        picture: Tensor | None = None,
        likeness: float = 1.0,
        starts: bool = True,
        note: Callable[[int], object] | None = None,
    ) -> Tensor:
        """One clip `(frames, 3, size, size)` in [0, 1].

        prompt    read by `demo/prompt.py`; what it does not know or what it assumes is logged
        fps       frames per second, 4, 8 or 16; None: what the prompt names, else 8
        guidance  classifier-free guidance scale (arXiv 2207.12598); 1 is the prompt alone
        picture   `(3, size, size)` in [0, 1]: the first frame where it `starts` the clip, and an image prompt of strength
                  `likeness` for all frames
        note      called after each sampling step with the number of steps done
        Raises ValueError for a number of frames or a size that the model cannot make.
        """
        told: dict[str, Any] = {"fps": fps, "steps": steps, "guidance": guidance, "size": size, "note": note}
        told |= {"likeness": likeness, "starts": starts}
        return self.film_batch([prompt], frames, [seed], pictures=None if picture is None else picture[None], **told)[0]

    @torch.inference_mode()
    def film_batch(
        self,
        prompts: list[str],
        frames: int,
        seeds: list[int],
        *,
        fps: int | None = None,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
        size: int = PIXELS,
        pictures: Tensor | None = None,
        likeness: float = 1.0,
        starts: bool = True,
        note: Callable[[int], object] | None = None,
    ) -> Tensor:
        """Several clips at once `(b, frames, 3, size, size)`; a clip's pictures depend on its own prompt and seed only."""
        self.check(frames, size, steps, fps)
        prompts = [self.told(prompt, fps, pictures is not None) for prompt in prompts]
        sigmas = spaced_sigmas(steps)
        parts = [torch.randn(frames, 4, size // 8, size // 8, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        x = rearrange(torch.stack(parts), "b f c h w -> (b f) c h w").to(self.unet.device) * sigmas[0]
        context = self.text(self.text.tokenize([*prompts, ""]).to(x.device))
        context = repeat(context, "b n d -> b f n d", f=frames)
        told = rearrange(context[:-1], "b f n d -> (b f) n d")
        untold = repeat(context[-1], "f n d -> (b f) n d", b=len(prompts))
        given = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        shown = pictures is not None and bool(likeness)
        with ExitStack() as stack:
            if self.motion:
                stack.enter_context(motion_in(self.unet, self.motion, frames=frames))
            if shown:
                stack.enter_context(self._showing(pictures.to(x), frames, guidance != 1, likeness))
            if pictures is not None and starts:
                x[::frames] = self.encode(pictures.to(x))
                given[::frames] = True
            latents = euler(self.guided(told, untold, guidance, both=shown), x, sigmas, given, note)
        return rearrange(torch.cat([self.decode(part) for part in latents.split(16)]), "(b f) c h w -> b f c h w", f=frames)

    @torch.inference_mode()
    def encode(self, pictures: Tensor) -> Tensor:
        """Scaled latents of pictures `(f, 3, h, w)` in [0, 1]."""
        return self.vae.encode(pictures * 2 - 1).latent_dist.mean * self.vae.config.scaling_factor

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Pictures in [0, 1] of scaled latents, on the CPU."""
        return (self.vae.decode(latents / self.vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1).cpu()

    def _showing(self, pictures: Tensor, frames: int, guided: bool, strength: float) -> AbstractContextManager[None]:
        """Image prompts for a call: the pictures, and none for the unconditional half of a guided one."""
        if self.sight is None:
            raise ValueError(
                "picture: this model sees none; its image_projector.safetensors is missing, or open_clip is (pip install "
                "open_clip_torch)"
            )
        tokens = self.sight.tokens(pictures)
        rows = repeat(torch.arange(len(pictures)), "b -> (b f)", f=frames)
        rows = torch.cat([rows, torch.full_like(rows, len(pictures))]) if guided else rows
        return picture_in(self.unet, self.sight.projector.network.image, tokens, rows, strength=strength)

    def check(self, frames: int, size: int = PIXELS, steps: int = STEPS, fps: int | None = None) -> None:
        """Raises ValueError for what the model cannot make."""
        check_clip(frames, size, steps, FPS if fps is None else fps)

    def told(self, prompt: str, fps: int | None = None, picture: bool = False) -> str:
        """The prompt in the words that the text encoder was trained on.

        picture   whether a picture comes with it, which shows the ground
        """
        reading = read_prompt(prompt, fps, picture)
        if notes := reading.notes():
            log.log(logging.WARNING if reading.misses else logging.INFO, "Zoetrope: %s", "; ".join(notes))
        return reading.prompt

    def guided(self, told: Tensor, untold: Tensor, guidance: float | Tensor, both: bool = False) -> Denoiser:
        """Classifier-free guidance in the interval, both halves in one call of the network.

        guidance   one scale, or one per frame `(f, 1, 1, 1)`
        both       compute both halves at every level, because an image prompt has rows for both
        """
        context = torch.cat([told, untold])

        def predict(x: Tensor, times: Tensor) -> Tensor:
            acts = self.interval.holds(SD_SIGMAS.to(x.device)[times])
            if not isinstance(guidance, Tensor) and guidance == 1 or not (both or bool(acts.any())):
                return self.unet(x, times, told).sample
            wanted, plain = self.unet(torch.cat([x, x]), times.repeat(2), context).sample.chunk(2)
            plain = limited(wanted, plain, acts)
            return plain + guidance * (wanted - plain)

        return v_denoiser(predict)


def load_demo(folder: Path = FOLDER, device: str | torch.device = "cpu") -> Demo:
    """The embedded model in float32. Raises ValueError where a file is missing, corrupt or another model's."""
    motion, _ = load_motion(part_path("motion", folder))
    motion.check_fit(unet_places(new_unet()).widths)
    vae, unet = (filled(name, network, folder).to(device) for name, network in (("vae", new_vae()), ("unet", new_unet())))
    return Demo(vae, unet, load_text(folder).to(device), motion.float().to(device), load_sight(folder, device))


def load_sight(folder: Path = FOLDER, device: str | torch.device = "cpu") -> Sight | None:
    """The image tower and the projector in float32; None where open_clip or the files are missing."""
    if not (folder / f"{PROJECTOR}.safetensors").is_file():
        return None
    try:
        from open_clip.transformer import VisionTransformer
    except ImportError:
        return None
    tower = VisionTransformer(PIXELS, PATCH, WIDTH, VISION_LAYERS, VISION_HEADS, 4.0, output_dim=WIDTH)
    projector = load_projector(part_path(PROJECTOR, folder))
    projector.network.float().to(device)
    return Sight(filled(VISION, tower, folder).to(device), projector)


def filled(name: str, network: Any, folder: Path) -> Any:
    """A network with the weights of a part."""
    tensors, _ = read_part(name, folder)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{name}.safetensors in {folder}: not the embedded model's {name} ({error})") from error
    return network.requires_grad_(False).eval()
