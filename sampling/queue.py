"""How a long shot is sampled, as plain data, and what fills its queue."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from . import fifo
from .noise import FrameNoise
from .timeline import Numbers


@dataclass(frozen=True)
class QueueSettings:
    window: int = 16
    """Frames that the model sees at once."""
    partitions: int = 3
    """Windows in the queue, where it is filled from the published schedule: window * partitions steps per frame."""
    context: int = 2
    """Frames of a window that are only looked at."""
    shift: int = 7
    """How far window borders move from iteration to iteration, modulo what a window changes."""
    eta: float = 1.0
    """Share of fresh noise in every step."""
    windows_per_call: int = 1
    """Windows that share a call of the model."""
    start: str = "base clip"
    """One of `STARTS`."""

    def shape(self, table: Tensor | None, sigmas: Tensor | None) -> fifo.FifoLayout:
        """The queue for a model's own noise levels (cleanest first), or for the sigmas of a scheduler."""
        if sigmas is not None:
            return fifo.shape_of(sigmas.float().cpu(), self.window, self.context, self.eta, self.shift)
        if table is None:
            raise ValueError("this MODEL has no table of noise levels; connect sigmas (from a scheduler node)")
        shift = self.shift % max(1, self.window - self.context)
        return fifo.published_shape(table.float().cpu(), self.window, self.partitions, self.context, self.eta, shift)

    def settings(self, shape: fifo.FifoLayout) -> dict[str, str | int | float]:
        """What of it decides about a shot's bits, in an artist's words."""
        return {
            "levels": len(shape.sigmas), "window": shape.window, "context": shape.context, "shift": shape.shift,
            "eta": shape.eta, "windows per call": self.windows_per_call, "start": self.start,
        }  # fmt: skip


STARTS = ("base clip", "noise")
PRESETS = {
    "recommended": QueueSettings(),
    "paper": QueueSettings(partitions=4, context=8, shift=0),
    "fast": QueueSettings(context=0, shift=8),
}
"""The first was the best within 1.35 times the model calls of a queue without lookahead (benchmarks/RESULTS.md)."""


@dataclass(frozen=True)
class Schedules:
    """What changes by frame besides the prompt."""

    cfg: Numbers | None = None
    strength: Numbers | None = None
    """Factor of the motion modules' strength."""


@dataclass(frozen=True)
class InitialQueue:
    """A shot before its first iteration."""

    queue: Tensor
    frame: int
    """Number of the frame that comes out first."""
    finished: Tensor
    """Frames from 0 on that need no more work."""


def begin(
    denoise: fifo.Denoiser, shape: fifo.FifoLayout, noise: FrameNoise, start: str, given: Tensor | None = None
) -> InitialQueue:  # fmt: skip
    """Fills a queue: from given frames (to continue them), from a base clip, or from noise."""
    *_, made = beginning(denoise, shape, noise, start, given)
    assert isinstance(made, InitialQueue)
    return made


def beginning(
    denoise: fifo.Denoiser, shape: fifo.FifoLayout, noise: FrameNoise, start: str, given: Tensor | None = None
) -> Iterator[int | InitialQueue]:  # fmt: skip
    """The same in steps: the number of steps done after each step of the base clip, then the filled queue."""
    if given is not None:
        clip, number = given.float().cpu(), -len(given)
    elif start == "noise":
        clip, number = torch.zeros(1, *noise.shape), -1
    else:
        clip, number = torch.zeros(0), 0
        for step, clip in enumerate(fifo.base_steps(denoise, shape, noise.at), start=1):  # noqa: B007
            yield step
        clip = clip.float().cpu()
    frame = fifo.first_frame(clip, shape, number)
    yield InitialQueue(fifo.queue_of(clip, shape, noise.at, number), frame, clip[: max(0, frame)] if number == 0 else clip[:0])


def trial_call(shape: fifo.FifoLayout, noise: FrameNoise, together: int) -> tuple[Tensor, Tensor, Tensor]:
    """What a denoiser is called with, for measuring: noise of so many windows at a middling level."""
    rows = together * shape.window
    x = torch.stack([noise.at(row, 0) for row in range(rows)])
    return x, shape.sigmas.mean().expand(rows), torch.arange(rows)


def work_before(shape: fifo.FifoLayout, from_base_clip: bool) -> tuple[int, int]:
    """(model calls of the base clip, iterations of warm-up) before frame 0 comes out; without a base clip all is warm-up."""
    levels = len(shape.sigmas)
    return (levels, max(0, levels - shape.window)) if from_base_clip else (0, levels)
