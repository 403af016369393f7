"""Clips of any length through the host's guider, in rounds: models are asked in one, autoencoders between them.

The host loads what a sampler needs when the guider is entered, and may move it away when it is left. So latents are taken out
of `sampling.stream` a few dozen at a time inside the guider, and decoded outside; where a round ends changes no bit.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import comfy.samplers
import torch
from torch import Tensor

from ....sampling.queue import Schedules
from ..call import Wrapper
from .guider import LiveModel, RoundSampler, enough_memory

ROUND = 48
"""Latents that are made before they are decoded."""


@dataclass(frozen=True)
class RoundRunner:
    """How the host is set up for the rounds of one stream, which asks the model through `live`."""

    guider: Any
    latent: tuple[int, int, int]
    """c h w of a frame."""
    rows: int
    """Frames of a call: memory is set aside for so many."""
    sigmas: Tensor
    seed: int
    remedy: str
    """What to lower where memory runs out."""
    window: int = 0
    """Frames per clip of motion modules; 0: the rows of a call are one clip."""
    schedules: Schedules = field(default_factory=Schedules)
    kept: str = "Stages that are finished are kept."
    wrappers: Mapping[str, Wrapper] = field(default_factory=dict)
    live: LiveModel = field(default_factory=LiveModel)

    def run(self, stream: Iterator[Any]) -> None:
        """One round: the host loads models for the rows of a call, and the stream is pulled to its end."""
        rows = torch.zeros(self.rows, *self.latent)
        with enough_memory(f"a call of {self.rows} frames", self.remedy, self.kept):
            sampler = RoundSampler(self.live, stream, self.window, self.schedules, self.wrappers)
            self.guider.sample(rows, rows, sampler, self.sigmas, disable_pbar=True, seed=self.seed)

    def outside(self, stream: Iterator[Tensor], before: Callable[[], object] = lambda: None) -> Iterator[Tensor]:
        """Latents of the stream, made in rounds and handed out between them. before: called before each round."""
        while True:
            made: list[Tensor] = []
            before()
            self.run(_kept_in(made, islice(stream, ROUND)))
            yield from made
            if len(made) < ROUND:
                return


def _kept_in(made: list[Tensor], stream: Iterator[Tensor]) -> Iterator[Tensor]:
    for one in stream:
        made.append(one)
        yield one


class Prefetched:
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
