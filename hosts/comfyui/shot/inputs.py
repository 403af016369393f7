"""What a shot is made of and with: the numbers that an artist sets, and a guider with its conditions, VAE and size."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from ....sampling.queue import QueueSettings, Schedules


@dataclass(frozen=True)
class ShotRequest:
    """What an artist asks for."""

    frames: int = 96
    fps: float = 8.0
    seed: int = 0
    queue: QueueSettings = field(default_factory=QueueSettings)
    sigmas: Tensor | None = None
    """None: the published levels of the model's own schedule."""
    schedules: Schedules = field(default_factory=Schedules)
    given: Tensor | None = None
    """Latents (f, c, h, w) to go on after, as a LATENT holds them."""


@dataclass(frozen=True)
class ShotInputs:
    """Who plays: a guider with its conditions set, the VAE, and the size of a latent."""

    guider: Any
    vae: Any
    latent: tuple[int, int, int]
    """c h w"""

    @property
    def model(self) -> Any:
        return self.guider.model_patcher

    def latent_out(self, latents: Tensor) -> Tensor:
        """Latents as the sampler has them, as a LATENT."""
        return self.model.model.process_latent_out(latents.float())
