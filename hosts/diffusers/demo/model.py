"""The embedded model on diffusers: from a prompt to frames without ComfyUI.

demo = load_demo()
clip = demo.generate("a red circle moving right on black", frames=16, seed=1)     # (16, 3, 64, 64) in [0, 1]
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


def new_vae(levels: int = LEVELS, scaling: float = 0.18215, width: int = WIDTH) -> Any:
    """The demo's VAE, untrained: 64 px to 8x8 latents of 4 channels, 1.5 M parameters; 16x16 latents with one level less."""
    layout: dict[str, Any] = {
        "block_out_channels": (width,) * levels,
        "down_block_types": ("DownEncoderBlock2D",) * levels,
        "up_block_types": ("UpDecoderBlock2D",) * levels,
        "layers_per_block": VAE_BLOCKS,
    }
    return AutoencoderKL(latent_channels=4, norm_num_groups=32, scaling_factor=scaling, **layout)


def new_unet(
    transformers: tuple[bool, ...] = TRANSFORMERS, blocks: int = UNET_BLOCKS, channels: int = 4, classes: int | None = None,
    width: int = WIDTH,
) -> Any:  # fmt: skip
    """The demo's UNet, untrained, 4.3 M parameters by default.

    transformers   whether each level has transformer blocks, highest resolution first
    blocks         residual blocks per level of the encoder half
    channels       input channels
    classes        number of class embeddings; None: no class embedding
    width          channels at every level and of the text tokens, a multiple of 32
    """
    return UNet2DConditionModel(
        in_channels=channels,
        out_channels=4,
        block_out_channels=(width,) * len(transformers),
        layers_per_block=blocks,
        cross_attention_dim=width,
        attention_head_dim=HEADS * width // WIDTH,  # diffusers' word for the number of heads
        down_block_types=tuple("CrossAttnDownBlock2D" if attention else "DownBlock2D" for attention in transformers),
        up_block_types=tuple("CrossAttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(transformers)),
        norm_num_groups=32,
        num_class_embeds=classes,
    )


@dataclass(frozen=True)
class ImagePromptEncoder:
    """Encoder of image prompts: open_clip's image tower and an image projector."""

    tower: Any
    projector: LoadedProjector

    def tokens(self, pictures: Tensor) -> Tensor:
        """Image tokens `(b + 1, n, d)` of pictures `(b, 3, h, w)` in [0, 1]; the last set is unconditional."""
        encoder_input = self.projector.look
        states = states_of(self.tower, pixels_of(pictures, PIXELS, encoder_input.crop), encoder_input)
        null = null_states(self.tower, encoder_input, PIXELS)
        return self.projector.network.projector(torch.cat([states, null]))


@dataclass(frozen=True)
class Demo:
    """The embedded model's parts, ready to run."""

    vae: Any
    unet: Any
    text: TextEncoder
    motion: MotionModule | None
    """None: the image model samples each frame independently."""
    image_encoder: ImagePromptEncoder | None = None
    """None: no image prompts."""
    interval: Interval = GUIDED
    """Noise levels at which guidance acts; at all others only the conditional prediction is computed."""

    def generate(
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
        on_step: Callable[[int], object] | None = None,
    ) -> Tensor:
        """Generates one clip `(frames, 3, size, size)` in [0, 1], on the CPU.

        prompt    read by `demo/prompt.py`; unknown words and assumptions are logged
        fps       frames per second, 4, 8 or 16; None: as in the prompt, else 8
        guidance  classifier-free guidance scale (arXiv 2207.12598); 1 is the conditional prediction
        picture   `(3, size, size)` in [0, 1]: the first frame where it `starts` the clip, and an image prompt of strength
                  `likeness` for all frames
        on_step   called after each sampling step with the number of steps done
        Raises ValueError for a number of frames, a size, a number of steps or a frame rate that the model does not support.
        """
        settings: dict[str, Any] = {"fps": fps, "steps": steps, "guidance": guidance, "size": size, "on_step": on_step}
        settings |= {"likeness": likeness, "starts": starts}
        pictures = None if picture is None else picture[None]
        return self.generate_batch([prompt], frames, [seed], pictures=pictures, **settings)[0]

    @torch.inference_mode()
    def generate_batch(
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
        on_step: Callable[[int], object] | None = None,
    ) -> Tensor:
        """Generates several clips at once `(b, frames, 3, size, size)`; each depends on its own prompt, seed and picture."""
        self.check(frames, size, steps, fps)
        prompts = [self.canonical_prompt(prompt, fps, pictures is not None) for prompt in prompts]
        sigmas = spaced_sigmas(steps)
        parts = [torch.randn(frames, 4, size // 8, size // 8, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        x = rearrange(torch.stack(parts), "b f c h w -> (b f) c h w").to(self.unet.device) * sigmas[0]
        context = self.text(self.text.tokenize([*prompts, ""]).to(x.device))
        context = repeat(context, "b n d -> b f n d", f=frames)
        positive = rearrange(context[:-1], "b f n d -> (b f) n d")
        negative = repeat(context[-1], "f n d -> (b f) n d", b=len(prompts))
        given = torch.zeros(len(x), dtype=torch.bool, device=x.device)
        image_prompt = pictures is not None and bool(likeness)
        with ExitStack() as stack:
            if self.motion:
                stack.enter_context(motion_in(self.unet, self.motion, frames=frames))
            if pictures is not None and image_prompt:
                stack.enter_context(self._image_prompts(pictures.to(x), frames, guidance != 1, likeness))
            if pictures is not None and starts:
                x[::frames] = self.encode(pictures.to(x))
                given[::frames] = True
            latents = euler(self.guided(positive, negative, guidance, both=image_prompt), x, sigmas, given, on_step)
        return rearrange(torch.cat([self.decode(part) for part in latents.split(16)]), "(b f) c h w -> b f c h w", f=frames)

    @torch.inference_mode()
    def encode(self, pictures: Tensor) -> Tensor:
        """Encodes pictures `(f, 3, h, w)` in [0, 1] to scaled latents `(f, 4, h / 8, w / 8)`."""
        return self.vae.encode(pictures * 2 - 1).latent_dist.mean * self.vae.config.scaling_factor

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Tensor:
        """Decodes scaled latents `(f, 4, h, w)` to pictures `(f, 3, 8 h, 8 w)` in [0, 1], on the CPU."""
        return (self.vae.decode(latents / self.vae.config.scaling_factor).sample / 2 + 0.5).clamp(0, 1).cpu()

    def _image_prompts(self, pictures: Tensor, frames: int, guided: bool, strength: float) -> AbstractContextManager[None]:
        """Image prompts of a call: the pictures, and the unconditional tokens for the negative half of a guided one."""
        if self.image_encoder is None:
            raise ValueError(
                "picture: image prompts need image_projector.safetensors beside the model's other files, and open_clip (pip "
                "install open_clip_torch); one of them is missing"
            )
        tokens = self.image_encoder.tokens(pictures)
        rows = repeat(torch.arange(len(pictures)), "b -> (b f)", f=frames)
        rows = torch.cat([rows, torch.full_like(rows, len(pictures))]) if guided else rows
        return picture_in(self.unet, self.image_encoder.projector.network.image, tokens, rows, strength=strength)

    def check(self, frames: int, size: int = PIXELS, steps: int = STEPS, fps: int | None = None) -> None:
        """Raises ValueError for a clip that the model does not support."""
        check_clip(frames, size, steps, FPS if fps is None else fps)

    def canonical_prompt(self, prompt: str, fps: int | None = None, picture: bool = False) -> str:
        """The prompt in the words that the text encoder was trained on; unknown words and assumptions are logged.

        picture   whether a picture is given too, so that no ground is assumed
        """
        reading = read_prompt(prompt, fps, picture)
        if notes := reading.notes():
            log.log(logging.WARNING if reading.misses else logging.INFO, "Zoetrope: %s", "; ".join(notes))
        return reading.prompt

    def guided(self, positive: Tensor, negative: Tensor, guidance: float | Tensor, both: bool = False) -> Denoiser:
        """A denoiser with classifier-free guidance inside the interval, both halves in one call of the UNet.

        positive, negative   text tokens of each row `(b f, n, d)`
        guidance   one scale, or one per frame `(f, 1, 1, 1)`
        both       whether to compute both halves at every noise level, because an image prompt has rows for both
        """
        context = torch.cat([positive, negative])

        def predict(x: Tensor, times: Tensor) -> Tensor:
            acts = self.interval.holds(SD_SIGMAS.to(x.device)[times])
            if not isinstance(guidance, Tensor) and guidance == 1 or not (both or bool(acts.any())):
                return self.unet(x, times, positive).sample
            conditional, unconditional = self.unet(torch.cat([x, x]), times.repeat(2), context).sample.chunk(2)
            unconditional = limited(conditional, unconditional, acts)
            return unconditional + guidance * (conditional - unconditional)

        return v_denoiser(predict)


def load_demo(folder: Path = FOLDER, device: str | torch.device = "cpu") -> Demo:
    """Loads the embedded model in float32. Raises ValueError where a file is missing, corrupt or another model's."""
    motion, _ = load_motion(part_path("motion", folder))
    motion.check_fit(unet_places(new_unet()).widths)
    vae, unet = (filled(name, network, folder).to(device) for name, network in (("vae", new_vae()), ("unet", new_unet())))
    return Demo(vae, unet, load_text(folder).to(device), motion.float().to(device), load_image_encoder(folder, device))


def load_image_encoder(folder: Path = FOLDER, device: str | torch.device = "cpu") -> ImagePromptEncoder | None:
    """Loads the image tower and the projector in float32; None where open_clip or the projector's file is missing."""
    if not (folder / f"{PROJECTOR}.safetensors").is_file():
        return None
    try:
        from open_clip.transformer import VisionTransformer
    except ImportError:
        return None
    tower = VisionTransformer(PIXELS, PATCH, WIDTH, VISION_LAYERS, VISION_HEADS, 4.0, output_dim=WIDTH)
    projector = load_projector(part_path(PROJECTOR, folder))
    projector.network.float().to(device)
    return ImagePromptEncoder(filled(VISION, tower, folder).to(device), projector)


def filled(name: str, network: Any, folder: Path) -> Any:
    """Loads a part's weights into the network, frozen and in evaluation mode. Raises ValueError where they do not fit it."""
    tensors, _ = read_part(name, folder)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ValueError(f"{name}.safetensors in {folder}: not the embedded model's {name} ({error})") from error
    return network.requires_grad_(False).eval()
