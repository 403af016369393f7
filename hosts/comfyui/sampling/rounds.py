"""Clips of any length through the host's guider, in rounds: the model runs in a round, the VAE between rounds.

The host loads models when the guider is entered, and may offload them when it is left. So several windows of a stream
(`sampling.stream`) are computed inside the guider, then decoded outside. The result does not depend on where a round ends.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

from ....sampling.queue import Schedules
from ..call import Wrapper
from ..dit.model import call_shape
from .guider import LiveModel, RoundSampler, enough_memory


@dataclass(frozen=True)
class RoundRunner:
    """Runs one stream in rounds of the host's guider; the stream calls the model as `live`."""

    guider: Any
    latent: tuple[int, int, int]
    """c h w of a frame."""
    rows: int
    """Frames per call, for which the host reserves memory."""
    sigmas: Tensor
    seed: int
    remedy: str
    """Inputs to lower where memory runs out, for the message."""
    window: int = 0
    """Frames per clip of motion modules; 0: the rows of a call are one clip."""
    schedules: Schedules = field(default_factory=Schedules)
    kept: str = "Finished stages are kept."
    wrappers: Mapping[str, Wrapper] = field(default_factory=dict)
    live: LiveModel = field(default_factory=LiveModel)

    def run(self, stream: Iterator[Any]) -> None:
        """Runs one round: the host loads models for `rows` frames, and the stream is iterated to its end."""
        rows = torch.zeros(call_shape(self.guider.model_patcher, self.rows, self.window, self.latent))
        with enough_memory(f"a call of {self.rows} frames", self.remedy, self.kept):
            sampler = RoundSampler(self.live, stream, self.window, self.schedules, self.wrappers)
            self.guider.sample(rows, rows, sampler, self.sigmas, disable_pbar=True, seed=self.seed)


def sigmas_for(model: Any, steps: int, scheduler: str = "simple") -> Tensor:
    """Noise levels `(steps + 1,)` of the model's schedule, the last one 0. Raises ValueError for more steps than levels."""
    sampling = model.get_model_object("model_sampling")
    most = len(getattr(sampling, "sigmas", ())) or steps
    if not 1 <= steps <= most:
        raise ValueError(f"steps: expected 1 to {most}, got {steps}")
    return comfy.samplers.calculate_sigmas(sampling, scheduler, steps).float().cpu()
