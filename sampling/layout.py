"""Layout of a FIFO queue: noise levels by place, and windows.

A latent at a level is scale * clean + sigma * noise. In Stable Diffusion's variable the scale is 1, in flow models 1 - sigma.
Frames of a block share a level; they enter and leave the queue together. One frame per block is the published queue.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from .diffusion import rows


@dataclass(frozen=True)
class Levels:
    """Levels of frames: a latent is scale * clean + sigma * noise."""

    sigma: Tensor
    """`(f,)`"""
    scale: Tensor
    """`(f,)`"""

    def __getitem__(self, places: slice | Tensor | int) -> "Levels":
        return Levels(self.sigma[places], self.scale[places])

    def to(self, like: Tensor) -> "Levels":
        return Levels(self.sigma.to(like), self.scale.to(like))

    def expand(self, frames: int) -> "Levels":
        """The same level for several frames."""
        return Levels(self.sigma.expand(frames), self.scale.expand(frames))

    def repeat(self, frames: int) -> "Levels":
        """Each level for several frames."""
        return Levels(self.sigma.repeat_interleave(frames), self.scale.repeat_interleave(frames))

    def noised(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Clean frames `(f, ...)` at these levels."""
        return rows(self.scale, clean) * clean + rows(self.sigma, clean) * noise.to(clean)


@dataclass(frozen=True)
class FifoLayout:
    """Noise levels of a queue and how it is cut into windows."""

    sigmas: Tensor
    """Noise of the frames of each block, cleanest first `(s,)`."""
    last: float
    """Remaining noise of a finished frame: 0; in the published sampler the first level of its schedule."""
    window: int
    """Frames per model call."""
    context: int
    """Number of these frames, at the cleaner end, that are not updated: 0 to half of the window."""
    eta: float
    """Share of new noise in every step (DDIM, arXiv 2010.02502, equation 16): 0 none, 1 as in DDPM."""
    shift: int = 0
    """Frames by which the borders between windows move with each iteration; 0: fixed, as published."""
    block: int = 1
    """Frames per block."""
    clean_scales: Tensor | None = None
    """Scale of the clean frames of each block `(s,)`; None: 1. Finished frames have scale 1."""

    def __post_init__(self) -> None:
        spare = max(self.window // 2, self.window - self.updated)
        if not 0 <= self.context <= min(spare, self.window - 1):
            raise ValueError(
                f"context: expected 0 to {min(spare, self.window - 1)} (window {self.window}, {self.updated} places), "
                f"got {self.context}"
            )
        if self.updated < self.window - self.context:
            raise ValueError(
                f"levels: expected at least {-(-(self.window - self.context) // self.block)} (window - context, in blocks), "
                f"got {len(self.sigmas)}; raise the steps or lower the window"
            )
        if not bool((self.sigmas.diff() > 0).all()) or not 0 <= self.last <= float(self.sigmas[0]):
            raise ValueError("levels: expected noise levels that increase from block to block, none below the final level")
        if not 0 <= self.shift < self.stride:
            raise ValueError(f"shift: expected 0 to {self.stride - 1} (window - context - 1), got {self.shift}")

    @property
    def stride(self) -> int:
        """Frames that a window updates."""
        return self.window - self.context

    @property
    def updated(self) -> int:
        """Places that are updated: all but the context."""
        return len(self.sigmas) * self.block

    @property
    def places(self) -> int:
        """Frames in the queue, context included."""
        return self.updated + self.context

    @property
    def steps(self) -> Levels:
        """Levels of a frame from its end to its entering `(s + 1,)`."""
        scales = torch.ones_like(self.sigmas) if self.clean_scales is None else self.clean_scales
        return Levels(torch.cat([self.sigmas.new_tensor([self.last]), self.sigmas]), torch.cat([scales.new_ones(1), scales]))

    @property
    def levels(self) -> Levels:
        """Levels by place. Finished frames, at the head, have that of the first block, as in the published sampler."""
        return self._by_place(self.steps[1:])

    @property
    def after(self) -> Levels:
        """Levels by place after an iteration."""
        return self._by_place(self.steps[:-1])

    @property
    def entering(self) -> Tensor:
        """Standard deviation of entering frames, for clean frames of variance 1."""
        last = self.steps[-1]
        return (last.scale**2 + last.sigma**2).sqrt()

    def _by_place(self, blocks: Levels) -> Levels:
        context, frames = self.steps[1].expand(self.context), blocks.repeat(self.block)
        return Levels(torch.cat([context.sigma, frames.sigma]), torch.cat([context.scale, frames.scale]))

    def step(self, place: int) -> int:
        """Number of the step that an updated place takes, 1 at the last block."""
        return len(self.sigmas) - place // self.block

    def windows(self, frame: int = 0) -> list[tuple[slice, slice]]:
        """For each window, head first: (places of the model's input, places that it updates). Every place is updated once.

        frame   number of the frame at the first updated place, which moving borders depend on
        """
        first = frame // self.block * self.shift % self.stride
        borders = sorted({0, *range(first, self.updated, self.stride), self.updated})
        found = []
        for start, stop in pairwise(borders):
            begin = max(0, stop + self.context - self.window)  # short windows, at either end, get more context
            found.append((slice(begin, begin + self.window), slice(start + self.context, stop + self.context)))
        return found


def layout_of(
    sigmas: Tensor, window: int, context: int, eta: float, shift: int = 0, block: int = 1, clean_scales: Tensor | None = None
) -> FifoLayout:  # fmt: skip
    """Layout of a queue for any sampling schedule.

    sigmas    as for a sampler: noisiest first, the final level (0) last `(s + 1,)`
    context   raised for queues of fewer places than window - context (few-step models): the rest of the window is then
              finished frames
    shift     taken modulo the number of frames that a window updates
    clean_scales   scale of clean frames at the levels but the last one, noisiest first `(s,)`; None: 1
    """
    if block < 1:
        raise ValueError(f"block: expected 1 or more, got {block}")
    if sigmas.ndim != 1 or len(sigmas) < 2:
        raise ValueError(f"sigmas: expected two or more noise levels, got shape {tuple(sigmas.shape)}")
    levels = sigmas[:-1].flip(0)
    context = max(context, window - len(levels) * block)
    scales = None if clean_scales is None else clean_scales.flip(0)
    return FifoLayout(levels, float(sigmas[-1]), window, context, eta, shift % (window - context), block, scales)


def published_layout(
    table: Tensor, window: int, partitions: int, context: int | None = None, eta: float = 1.0, shift: int = 0, block: int = 1
) -> FifoLayout:
    """Layout of the published queue: partitions * window / block levels, evenly spaced in time.

    The last step of a frame, at the first place, does not change its noise level.

    table     one sigma per timestep, cleanest first
    context   None: lookahead denoising, half of the window
    """
    if block < 1 or partitions * window % block:
        raise ValueError(f"block: expected a divisor of partitions * window ({partitions} * {window}), got {block}")
    count = partitions * window // block
    if not 2 <= count <= len(table):
        raise ValueError(
            f"partitions * window / block: expected 2 to {len(table)} levels, got {partitions} * {window} / {block}"
        )
    times = torch.linspace(0, len(table) - 1, count, dtype=torch.float64).round().long()
    levels = table[times]
    return FifoLayout(levels, float(levels[0]), window, window // 2 if context is None else context, eta, shift, block)


def calls_per_frame(layout: FifoLayout) -> float:
    """Model calls (windows) per finished frame, on average."""
    period = layout.stride // math.gcd(layout.shift, layout.stride) if layout.shift else 1
    iterations = range(0, period * layout.block, layout.block)
    return sum(len(layout.windows(frame)) for frame in iterations) / (period * layout.block)
