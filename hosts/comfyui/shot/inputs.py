"""Settings of a shot, and its inputs: a guider with its conditions, VAE and latent size."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ....sampling.queue import QueueSettings, Schedules
from ..conditioning.anchor import Anchor
from ..dit.model import as_clip, by_frame, dit_of, given_level
from ..sampling.known import Keyframes


@dataclass(frozen=True)
class ShotRequest:
    """Settings of a shot."""

    frames: int = 96
    fps: float = 8.0
    seed: int = 0
    queue: QueueSettings = field(default_factory=QueueSettings)
    sigmas: Tensor | None = None
    """Noise levels of the queue; None: the published levels of the model's schedule."""
    schedules: Schedules = field(default_factory=Schedules)
    given: Tensor | None = None
    """Latents `(f, c, h, w)` of a LATENT that the shot continues; None: it begins a new clip."""
    mask: Tensor | None = None
    """Noise mask of `given`, which are then the first frames of the shot, kept outside the mask."""
    keyframes: Keyframes | None = None
    loop: bool = False
    """Whether the shot ends where it begins."""
    anchor: Anchor | None = None
    """Image prompt from the shot's own frames."""

    @property
    def continued(self) -> Tensor | None:
        """Latents of the frames before the shot."""
        return self.given if self.mask is None else None


@dataclass(frozen=True)
class ShotInputs:
    """Inputs of a shot: a guider with its conditions set, the VAE, and the size of a latent."""

    guider: Any
    vae: Any
    latent: tuple[int, int, int]
    """c h w"""

    @property
    def model(self) -> Any:
        return self.guider.model_patcher

    @property
    def is_clip(self) -> bool:
        """Whether the model is a video transformer, whose LATENT is a clip `(1, c, f, h, w)`."""
        return dit_of(self.model) is not None

    @property
    def given_level(self) -> float | None:
        """Noise level at which the model gets given frames; None: that of their places."""
        return given_level(dit_of(self.model))

    def latent_in(self, latents: Tensor) -> Tensor:
        """Latents `(f, c, h, w)` of a LATENT in the sampler's scale, in float32 on the CPU."""
        base, latents = self.model.model, latents.float()
        return (by_frame(base.process_latent_in(as_clip(latents))) if self.is_clip else base.process_latent_in(latents)).cpu()

    def latent_out(self, latents: Tensor) -> Tensor:
        """Latents `(f, c, h, w)` in the sampler's scale as those of a LATENT, in float32."""
        base, latents = self.model.model, latents.float()
        return by_frame(base.process_latent_out(as_clip(latents))) if self.is_clip else base.process_latent_out(latents)

    def samples(self, latents: Tensor) -> Tensor:
        """Latents `(f, c, h, w)` in the sampler's scale as the samples of a LATENT: with a video transformer one clip."""
        return as_clip(self.latent_out(latents)) if self.is_clip else self.latent_out(latents)
