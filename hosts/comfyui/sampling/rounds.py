"""Clips of any length through the host's guider, in rounds: models are asked in one, autoencoders between them.

The host loads what a sampler needs when the guider is entered, and may move it away when it is left. So latents are taken out
of `sampling.stream` a few dozen at a time inside the guider, and decoded outside; where a round ends changes no bit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

from ....sampling.queue import Schedules
from ..call import Wrapper
from .guider import Rounds, enough_memory

ROUND = 48
"""Latents that are made before they are decoded."""


class Live:
    """The guider as a model, while the host has it ready."""

    def __init__(self) -> None:
        self._denoise: Callable[..., Tensor] | None = None

    def __call__(self, x: Tensor, sigma: float, numbers: Sequence[int], **told: Any) -> Tensor:
        """Clean frames of noisy ones `(f, c, h, w)` at one noise level; on the CPU, in float32."""
        assert self._denoise is not None, "a stream is read inside a round only"
        clean = self._denoise(x, torch.full((len(x),), sigma), torch.tensor(list(numbers)), **told)
        return clean.to("cpu", torch.float32)

    def ready(self, denoise: Callable[..., Tensor]) -> None:
        self._denoise = denoise


@dataclass(frozen=True)
class Stage:
    """How the host is to be set up for the rounds of one stream."""

    guider: Any
    latent: tuple[int, int, int]
    """c h w of a frame."""
    window: int
    """Frames of a call: memory is set aside for so many."""
    sigmas: Tensor
    seed: int
    remedy: str
    """What to lower where memory runs out."""
    live: Live = field(default_factory=Live)
    wrappers: Mapping[str, Wrapper] = field(default_factory=dict)

    def rounds(self, stream: Iterator[Tensor], before: Callable[[], object] = lambda: None) -> Iterator[Tensor]:
        """Latents of the stream, made inside the guider and handed out outside. before: called before each round."""
        rows = torch.zeros(self.window, *self.latent)
        while True:
            made: list[Tensor] = []

            def work(denoise: Callable[..., Tensor], made: list[Tensor] = made) -> None:
                self.live.ready(denoise)
                made.extend(islice(stream, ROUND))

            before()
            with enough_memory(f"a call of {self.window} frames", self.remedy, "Stages that are finished are kept."):
                sampler = Rounds(work, 0, Schedules(), self.wrappers)
                self.guider.sample(rows, rows, sampler, self.sigmas, disable_pbar=True, seed=self.seed)
            yield from made
            if len(made) < ROUND:
                return


class Ahead:
    """Items that are made before they are needed, because making one inside a round would move models about."""

    def __init__(self, source: Iterable[Tensor]):
        self._source, self._waiting = iter(source), deque[Tensor]()

    def make(self, upto: int) -> None:
        """Until so many wait, or none are left."""
        self._waiting.extend(islice(self._source, max(0, upto - len(self._waiting))))

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            self.make(1)
            if not self._waiting:
                return
            yield self._waiting.popleft()


def sigmas_for(model: Any, steps: int, scheduler: str = "simple") -> Tensor:
    """Noise levels of the model's own schedule `(steps + 1,)`, the last one 0. Raises ValueError for more steps than levels."""
    sampling = model.get_model_object("model_sampling")
    most = len(getattr(sampling, "sigmas", ())) or steps
    if not 1 <= steps <= most:
        raise ValueError(f"steps: expected 1 to {most}, got {steps}")
    return comfy.samplers.calculate_sigmas(sampling, scheduler, steps).float().cpu()
