"""Configurations of the stages, from JSON files without defaults."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..run import Run


@dataclass(frozen=True)
class VaeRun(Run):
    """Settings of the vae stage."""

    crop: int
    """Side of crops around the shape, for a share of the steps: the plain background contributes little."""
    crop_share: float
    kl: float
    """Weight of the KL divergence, in nats per latent value."""
    edges: float
    """Additional weight of pixels at outlines."""


@dataclass(frozen=True)
class DecoderRun(Run):
    """Settings of the temporal decoder's stages."""

    frames: tuple[int, ...]
    """Clip lengths; each step draws one."""
    crop: int
    """Side of crops around the shape, for a share of the steps."""
    crop_share: float
    noise: float
    """Factor of the encoder's standard deviation in sampling latents: 1 as in the autoencoder's training, 0 means only."""
    edges: float
    """Additional weight of pixels at outlines."""
    flicker: float
    """Weight of the error of differences between neighbouring frames."""
    features: float
    """Weight of the distance in the frozen encoder's features."""
    adversarial: float
    """Weight of the adversarial loss."""
    critic: int
    """Channels of the critic's first layer."""
    train_image: bool
    """False: only temporal layers are trained, so that without them the decoder is the image decoder bit for bit."""


@dataclass(frozen=True)
class ImageRun(Run):
    """Settings of the image stages."""

    shots: int
    """Number of encoded shots, of 61 frames at 16 per second each; stored beside the VAE."""
    dropped_prompts: float
    """Share of prompts that are replaced by an empty one, for classifier-free guidance."""
    loose_prompts: float
    """Share of the other prompts with words left out or reordered (training/demo/captions.py)."""
    level_weights: tuple[float, ...]
    """Weights of the error at timesteps evenly spaced from the cleanest to the noisiest, linear in between."""
    straight: float
    """Share of clips on the straight path between picture and pure noise: samplers start from pure noise, whereas Stable
    Diffusion's noisiest level has a non-zero signal (arXiv 2305.08891)."""


@dataclass(frozen=True)
class VideoRun(Run):
    """Settings of the video stage."""

    shots: int
    """Number of encoded shots, of 61 frames at 16 per second each; stored beside the VAE."""
    frames: tuple[int, ...]
    """Clip lengths; each step draws one, with batch * frames[-1] pictures in total."""
    image_share: float
    """Share of the steps on single pictures without temporal layers, so that the image model works alone."""
    levels: dict[str, float]
    """Kind of noise levels (training/demo/levels.py) -> share of the clips."""
    level_bias: float
    """Exponent of the distribution of noise levels: 1 is uniform, below 1 prefers high ones."""
    dropped_prompts: float
    loose_prompts: float
    level_weights: tuple[float, ...]
    straight: float
    train_image: bool
    """False: UNet and text encoder are frozen, as in Align Your Latents."""


@dataclass(frozen=True)
class FewStepRun(VideoRun):
    """Settings of the few-step stage, which distils the video stage."""

    guidance: float
    """Guidance scale of the teacher, which the student then has built in."""
    huber: float
    """Error at which the pseudo-Huber distance turns from square to linear."""


@dataclass(frozen=True)
class SightRun(Run):
    """Settings of the stage of image encoder and projector."""

    dropped_pictures: float
    """Share of pictures replaced by zeros, with the empty prompt."""


@dataclass(frozen=True)
class PictureRun(VideoRun):
    """Settings of the picture stages."""

    picture_share: float
    """Share of the steps with a picture; the others are those of the video stage."""
    dropped_pictures: float
    """Share of pictures replaced by zeros, for classifier-free guidance."""
    said: dict[str, float]
    """Content of a prompt with a picture (`all`, `motion`, `nothing`) -> share of the clips."""
    rest: float
    """Share of clips with a clean first frame that start from rest, as from a drawn picture."""


@dataclass(frozen=True)
class UpscalerVaeRun(VaeRun):
    """Settings of the upscaler's VAE: latents as wide as the small pictures, a quarter of the large ones."""


@dataclass(frozen=True)
class UpscalerRun(Run):
    """Settings of the upscaler's stages."""

    shots: int
    """Number of encoded crops of shots; stored beside the VAE."""
    window: int
    """Side of the crops in pixels of the large picture."""
    frames: int
    """Frames per clip; a batch of stills has as many frames, of different clips."""
    dropped_prompts: float
    highest: int
    """Highest noise level of the small picture; levels are drawn uniformly from 0 on."""
    grain: float
    """Highest standard deviation of simulated grain in the small picture; each clip draws one."""
    damage: str
    """Preset of film damage (`PRESETS` in video/damage/settings.py) on the small pictures, but for weave and fading, which move
    and recolour what is to be restored; empty: none."""
    flicker: float
    """Weight of the error of differences between neighbouring frames, for clips."""
    over_frames: bool
    """True: only temporal layers are trained (Align Your Latents 3.3); False: only the image upscaler."""


@dataclass(frozen=True)
class LivelyVaeRun(VaeRun):
    """Settings of the VAE stage of the lively world (demo/lively_world.py)."""

    width: int
    """Channels at every level."""
    scenes: int
    """Number of scenes whose frames are filmed once, `FRAMES_PER_SCENE` each; steps draw from them."""


@dataclass(frozen=True)
class LivelyImageRun(ImageRun):
    """Settings of the image stage of the lively world."""

    width: int
    """Channels of the UNet at every level, and of text encoder and motion module."""


@dataclass(frozen=True)
class LivelyVideoRun(VideoRun):
    """Settings of the video stage of the lively world."""

    width: int
    """As in the image stage."""


@dataclass(frozen=True)
class DitRun(Run):
    """Settings of the video transformer's stage (training/demo/dit.py)."""

    shots: int
    """Number of encoded shots, as in the image stages."""
    frames: tuple[int, ...]
    """Clip lengths; each step draws one, with batch * frames[-1] pictures in total."""
    levels: dict[str, float]
    """Kind of noise levels (training/demo/levels.py) -> share of the clips."""
    level_bias: float
    """Exponent of the distribution of noise levels: 1 is uniform, below 1 prefers high ones."""
    dropped_prompts: float
    loose_prompts: float
    level_weights: tuple[float, ...]
    width: int
    layers: int
    heads: int


LivelyRun = LivelyVaeRun | LivelyImageRun | LivelyVideoRun

STAGES: dict[str, type[Run]] = {
    "vae": VaeRun,
    "decoder": DecoderRun,
    "image": ImageRun,
    "video": VideoRun,
    "few_steps": FewStepRun,
    "sight": SightRun,
    "picture": PictureRun,
    "upscaler_vae": UpscalerVaeRun,
    "upscaler": UpscalerRun,
    "dit": DitRun,
    "lively_vae": LivelyVaeRun,
    "lively_image": LivelyImageRun,
    "lively_video": LivelyVideoRun,
}


def read_config(path: Path) -> Run:
    """Reads a stage's configuration. Raises ValueError with the missing or unknown fields."""
    settings = json.loads(path.read_text())
    kind = STAGES.get(settings.get("stage"))
    if kind is None:
        raise ValueError(f"{path.name}: stage: expected one of {', '.join(STAGES)}, got {settings.get('stage')!r}")
    names = {field.name for field in fields(kind)}
    if problems := sorted(names ^ set(settings)):
        kinds = ", ".join(f"{name} ({'missing' if name in names else 'unknown'})" for name in problems)
        raise ValueError(f"{path.name}: expected exactly the fields of {kind.__name__}, got {kinds}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
    return kind(**values)
