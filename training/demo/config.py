"""One configuration per stage, from one JSON file, whole and without defaults."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..run import Run


@dataclass(frozen=True)
class VaeRun(Run):
    crop: int
    """Side of the windows around the shape that a share of the steps learns from: flat ground teaches little."""
    crop_share: float
    kl: float
    """Weight of the divergence from a unit normal, in nats per latent number."""
    edges: float
    """How much more an outline's pixels weigh than flat ground."""


@dataclass(frozen=True)
class DecoderRun(Run):
    frames: tuple[int, ...]
    """Clip lengths; each step draws one."""
    crop: int
    """Side of the windows around the shape that a share of the steps learns from."""
    crop_share: float
    noise: float
    """Share of the encoder's own spread that is added to its means: 1 is the autoencoder's training, 0 the means alone."""
    edges: float
    """How much more an outline's pixels weigh than flat ground."""
    flicker: float
    """Weight of the error of differences between neighbouring frames."""
    features: float
    """Weight of the distance in the frozen encoder's features."""
    adversarial: float
    """Weight of the critic's opinion."""
    critic: int
    """Channels of the critic's first layer."""
    train_image: bool
    """False trains the layers over frames alone, so that without them the decoder is the image decoder bit for bit."""


@dataclass(frozen=True)
class ImageRun(Run):
    shots: int
    """Encoded shots to learn from, each 61 frames at 16 per second; they are kept beside the VAE."""
    dropped_prompts: float
    """Share of prompts replaced by nothing, for classifier-free guidance."""
    loose_prompts: float
    """Share of the other prompts that leave words out or have them in another order (training/demo/captions.py)."""
    level_weights: tuple[float, ...]
    """Weights of the error at timesteps evenly spaced from the cleanest to the noisiest, linear in between."""
    straight: float
    """Share of clips on the straight path between picture and pure noise: a sampler starts with noise without a trace of a
    picture, whereas Stable Diffusion's noisiest level holds one (arXiv 2305.08891)."""


@dataclass(frozen=True)
class VideoRun(Run):
    shots: int
    """Encoded shots to learn from, each 61 frames at 16 per second; they are kept beside the VAE."""
    frames: tuple[int, ...]
    """Clip lengths; each step draws one, and takes as many clips as keep batch * frames[-1] pictures."""
    image_share: float
    """Share of the steps on single pictures with the temporal layers bypassed, so that the image model stands alone."""
    levels: dict[str, float]
    """Kind of noise levels (training/demo/levels.py) -> share of the clips."""
    level_bias: float
    """Exponent of the draw of noise levels: 1 is even, less prefers high ones."""
    dropped_prompts: float
    loose_prompts: float
    level_weights: tuple[float, ...]
    straight: float
    train_image: bool
    """False freezes UNet and text: the pure Align Your Latents recipe, for comparison."""


@dataclass(frozen=True)
class SightRun(Run):
    dropped_pictures: float
    """Share of the pictures replaced by none, which stand for the empty prompt."""


@dataclass(frozen=True)
class PictureRun(VideoRun):
    picture_share: float
    """Share of the clips' steps that are shown a picture; the others are those of the video stage."""
    dropped_pictures: float
    """Share of the pictures replaced by none, for classifier-free guidance."""
    said: dict[str, float]
    """How much a prompt beside a picture says (`all`, `motion`, `nothing`) -> share of the clips."""
    rest: float
    """Share of clips with a clean first frame that start from rest, as a drawn picture does."""


@dataclass(frozen=True)
class UpscalerVaeRun(VaeRun):
    """The upscaler's own autoencoder: pictures four times as wide, latents as wide as the small ones."""


@dataclass(frozen=True)
class UpscalerRun(Run):
    shots: int
    """Encoded windows of shots to learn from; they are kept beside the VAE."""
    window: int
    """Side of those windows in pixels of the large picture."""
    frames: int
    """Of a clip; stills are as many frames of different clips."""
    dropped_prompts: float
    highest: int
    """Noise levels of the small picture are drawn evenly from 0 to this."""
    grain: float
    """Most of the small picture's own noise, as a standard deviation in [0, 1]; each clip draws one."""
    flicker: float
    """Weight of the error of differences between neighbouring frames; of clips only."""
    over_frames: bool
    """Trains the layers over frames alone, the image upscaler being frozen (Align Your Latents 3.3); else that."""


STAGES: dict[str, type[Run]] = {
    "vae": VaeRun,
    "decoder": DecoderRun,
    "image": ImageRun,
    "video": VideoRun,
    "sight": SightRun,
    "picture": PictureRun,
    "upscaler_vae": UpscalerVaeRun,
    "upscaler": UpscalerRun,
}


def read_config(path: Path) -> Run:
    """Raises ValueError that names the file and the fields that are missing or unknown."""
    given = json.loads(path.read_text())
    kind = STAGES.get(given.get("stage"))
    if kind is None:
        raise ValueError(f"{path.name}: stage: expected one of {', '.join(STAGES)}, got {given.get('stage')!r}")
    names = {field.name for field in fields(kind)}
    if problems := sorted(names ^ set(given)):
        kinds = ", ".join(f"{name} ({'missing' if name in names else 'unknown'})" for name in problems)
        raise ValueError(f"{path.name}: expected exactly the fields of {kind.__name__}, got {kinds}")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return kind(**values)
