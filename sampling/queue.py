"""Queue settings of a long shot, and the initial queue."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from . import fifo
from .known import Known, Loop
from .layout import FifoLayout, layout_of, published_layout
from .noise import FrameNoise
from .tail import CoherentTail
from .timeline import Numbers


@dataclass(frozen=True)
class QueueSettings:
    window: int = 16
    """Frames per window."""
    partitions: int = 3
    """Windows in the queue, with the published schedule: window * partitions steps per frame."""
    context: int = 2
    """Frames of a window that are not updated."""
    shift: int = 7
    """Frames by which window borders move with each iteration, modulo the frames that a window updates."""
    eta: float = 1.0
    """Share of new noise in every step (DDIM)."""
    windows_per_call: int = 1
    """Windows per model call."""
    start: str = "base clip"
    """One of `STARTS`."""
    coherent_tail: float = 0.0
    """Share of its low frequencies that an entering frame takes from the one before it: 0 to 1."""
    block: int = 1
    """Frames that share a noise level: they enter and leave the queue together."""
    steps: int = 0
    """Noise levels for models whose schedule is not the published one; 0: window * partitions."""

    @property
    def levels(self) -> int:
        """Number of noise levels where no scheduler gives them."""
        return self.steps or self.window * self.partitions

    def layout(self, table: Tensor | None, sigmas: Tensor | None, clean_scales: Tensor | None = None) -> FifoLayout:
        """Layout of the queue for the noise levels of a model (cleanest first), or for the sigmas of a scheduler.

        clean_scales   of the sigmas but the last one, as for `layout_of`
        """
        if sigmas is not None:
            sigmas = sigmas.float().cpu()
            return layout_of(sigmas, self.window, self.context, self.eta, self.shift, self.block, clean_scales)
        if table is None:
            raise ValueError("this MODEL has no table of noise levels; connect sigmas (from a scheduler node)")
        shift = self.shift % max(1, self.window - self.context)
        return published_layout(table.float().cpu(), self.window, self.partitions, self.context, self.eta, shift, self.block)

    def settings(self, layout: FifoLayout) -> dict[str, str | int | float]:
        """Settings that the latents of a shot depend on, by the names of the node's inputs."""
        plain: dict[str, str | int | float] = {
            "levels": len(layout.sigmas), "window": layout.window, "context": layout.context, "shift": layout.shift,
            "eta": layout.eta, "windows per call": self.windows_per_call, "start": self.start,
        }  # fmt: skip
        newer = {"coherent tail": (self.coherent_tail, 0.0), "frames per block": (self.block, 1)}
        return {**plain, **{name: value for name, (value, off) in newer.items() if value != off}}  # not in journals of 0.1

    def tail(self, cuts: frozenset[int]) -> CoherentTail | None:
        """Coherent tail of the queue; None where it is off. cuts: frame numbers of the prompt's hard cuts."""
        return CoherentTail(self.coherent_tail, cuts) if self.coherent_tail else None


STARTS = ("base clip", "noise")
PRESETS = {
    "recommended": QueueSettings(),
    "paper": QueueSettings(partitions=4, context=8, shift=0),
    "fast": QueueSettings(context=0, shift=8),
}
"""`recommended` was the best within 1.35 times the model calls of a queue without lookahead (benchmarks/RESULTS.md)."""


def clip_presets(window: int, steps: int) -> dict[str, QueueSettings]:
    """Settings by the names of `PRESETS` for video transformers, whose windows are clips of `window` latents.

    steps   usual number of sampling steps
    Every window has at least one latent of context, because the first latent of a clip is a single frame in training. Not
    compared on published weights.
    """
    return {
        "recommended": QueueSettings(window, 1, min(2, window // 2), eta=0.0, steps=steps),
        "paper": QueueSettings(window, 4, max(1, window // 2), shift=0),
        "fast": QueueSettings(window, 1, 1, 0, eta=0.0, block=2, steps=max(1, steps // 2)),
    }


@dataclass(frozen=True)
class Schedules:
    """Numbers by frame, besides the prompt."""

    cfg: Numbers | None = None
    strength: Numbers | None = None
    """Factor of the motion modules' strength."""


@dataclass(frozen=True)
class InitialQueue:
    """State of a shot before its first iteration."""

    queue: Tensor
    frame: int
    """Number of the first frame to be finished."""
    finished: Tensor
    """Frames from 0 on that are finished already."""


def begin(
    denoise: fifo.Denoiser, layout: FifoLayout, noise: FrameNoise, start: str, given: Tensor | None = None,
    known: Sequence[Known] = (), loop: Loop | None = None,
) -> InitialQueue:  # fmt: skip
    """Fills a queue: from given frames (to continue them), from a base clip, or from noise.

    known   given latents, which a base clip has
    loop    gets the frames that are finished already
    """
    *_, made = beginning(denoise, layout, noise, start, given, known, loop)
    assert isinstance(made, InitialQueue)
    return made


def beginning(
    denoise: fifo.Denoiser, layout: FifoLayout, noise: FrameNoise, start: str, given: Tensor | None = None,
    known: Sequence[Known] = (), loop: Loop | None = None,
) -> Iterator[int | InitialQueue]:  # fmt: skip
    """As `begin`, yielding the number of steps done after each step of the base clip, then the filled queue."""
    if given is not None:
        clip, number = given.float().cpu(), -len(given)
    elif start == "noise":
        clip, number = torch.zeros(1, *noise.shape), -1
    else:
        clip, number = torch.zeros(0), 0
        for step, clip in enumerate(fifo.base_steps(denoise, layout, noise.at, known), start=1):  # noqa: B007
            yield step
        clip = clip.float().cpu()
    frame = fifo.first_frame(clip, layout, number)
    finished = clip[: max(0, frame)] if number == 0 else clip[:0]
    if loop:
        loop.finish(0, finished)
    yield InitialQueue(fifo.queue_of(clip, layout, noise.at, number), frame, finished)


def trial_call(layout: FifoLayout, noise: FrameNoise, together: int) -> tuple[Tensor, Tensor, Tensor]:
    """Arguments of a denoiser for timing: noise of `together` windows at the mean level."""
    rows = together * layout.window
    x = torch.stack([noise.at(row, 0) for row in range(rows)])
    return x, layout.sigmas.mean().expand(rows), torch.arange(rows)


def work_before(layout: FifoLayout, from_base_clip: bool) -> tuple[int, int]:
    """(model calls of the base clip, frames that leave the queue before frame 0); without a base clip warm-up only."""
    first = max(0, layout.updated - layout.window) if from_base_clip else layout.updated
    return len(layout.sigmas) if from_base_clip else 0, first
