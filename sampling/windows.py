"""Context windows for long clips: window schedules, and weights for averaging the predictions.

Schedules, frame numbers and weights are those of AnimateDiff-Evolved's `context.py` (d8d163c).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .diffusion import rows
from .noise import mixed

MOVING_BORDERS = "moving borders"
"""The schedule whose windows share no frame and take no overlap."""
LEAST_WEIGHT = 1e-37
"""Least weight, in place of 0: a frame may be in one window only."""


@dataclass(frozen=True)
class Windows:
    """Settings of context windows."""

    schedule: str
    """One of `SCHEDULES`."""
    window: int
    """Frames per window."""
    overlap: int
    """Frames that neighbouring windows share."""
    stride: int = 1
    """Number of powers of two as frame steps: 3 adds windows over every second and every fourth frame (uniform and looped)."""
    closed: bool = False
    """Whether the end of the clip continues at its beginning (looped)."""
    fuse: str = "pyramid"
    """One of `FUSES`."""
    seed: int = 0
    """Of the borders that move (moving borders)."""

    def __post_init__(self) -> None:
        for name, value, options in (("window_schedule", self.schedule, SCHEDULES), ("fuse", self.fuse, FUSES)):
            if value not in options:
                raise ValueError(f"{name}: expected one of {', '.join(options)}, got {value!r}")
        if self.schedule != MOVING_BORDERS and not 0 <= self.overlap < self.window:
            raise ValueError(f"overlap: expected 0 to {self.window - 1} (less than the window), got {self.overlap}")
        if self.stride < 1:
            raise ValueError(f"stride: expected 1 or more, got {self.stride}")

    def at(self, frames: int, step: int) -> list[list[int]]:
        """Windows of a clip at one step, each a list of frame numbers."""
        return SCHEDULES[self.schedule](self, frames, step)

    def weights(self, window: Sequence[int], frames: int) -> Tensor:
        """Weight of each frame of a window `(f,)`."""
        fuse = _flat if self.schedule == MOVING_BORDERS else FUSES[self.fuse]  # each frame is in one window
        return fuse(window, frames, self.overlap)


def denoise_in_windows(
    denoise: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, sigma: Tensor, cut: Windows, step: int,
    frame_0_first: bool = False,
) -> Tensor:  # fmt: skip
    """Predicts the clean frames `(f, ...)` of a long clip, one call per window, overlaps averaged by weight.

    denoise   `(x (w, ...), sigma (w,), frame (w,)) -> clean (w, ...)`, with any number of channels
    sigma     noise level of each frame `(f,)`
    frame_0_first   whether windows with frame 0 are computed before the others
    """
    total, counted = None, torch.zeros(len(x), device=x.device)
    windows = cut.at(len(x), step)
    for window in sorted(windows, key=lambda window: 0 not in window) if frame_0_first else windows:
        frame = torch.tensor(window, device=x.device)
        weight = cut.weights(window, len(x)).to(x)
        clean = denoise(x[frame], sigma[frame], frame)
        total = clean.new_zeros(len(x), *clean.shape[1:]) if total is None else total
        total.index_add_(0, frame, clean * rows(weight, clean))
        counted.index_add_(0, frame, weight.to(counted))
    assert total is not None  # every clip has a window
    return total / rows(counted, total)


def _static(cut: Windows, frames: int, step: int) -> list[list[int]]:
    if frames <= cut.window:
        return [list(range(frames))]
    starts = range(0, frames - cut.overlap, cut.window - cut.overlap)
    return [_run(min(start, frames - cut.window), cut.window) for start in starts]


def _batched(cut: Windows, frames: int, step: int) -> list[list[int]]:
    return [list(range(start, min(start + cut.window, frames))) for start in range(0, frames, cut.window)]


def _moving(cut: Windows, frames: int, step: int) -> list[list[int]]:
    """Windows without overlap whose borders are drawn anew at every step, as VidToMe (arXiv 2312.10656) has them: the first one
    has a random length, every second time they are in reverse order, and a random quarter of them comes first. The order counts
    where windows share tokens.
    """
    if frames <= cut.window:
        return [list(range(frames))]
    draws = torch.Generator().manual_seed(mixed(mixed(cut.seed) ^ step) & (2**63 - 1))
    first = int(torch.randint(1, cut.window + 1, (), generator=draws))
    starts = [0, *range(first, frames, cut.window)]
    found = [list(range(start, stop)) for start, stop in zip(starts, [*starts[1:], frames], strict=True)]
    if bool(torch.rand((), generator=draws) < 0.5):
        found.reverse()
    early = torch.randperm(len(found), generator=draws)[: len(found) // 4].tolist()
    return [found[index] for index in early] + [window for index, window in enumerate(found) if index not in early]


def _looped(cut: Windows, frames: int, step: int) -> list[list[int]]:
    """Windows move with each step and wrap around the end of the clip."""
    share = halving(step)
    moved = round(frames * share)
    levels = min(cut.stride, math.ceil(math.log2(max(1, frames / cut.window))) + 1)
    found = []
    for apart in (2**level for level in range(levels)):
        end = frames + moved - (0 if cut.closed else cut.overlap)
        for start in range(int(share * apart) + moved, end, cut.window * apart - cut.overlap):
            found.append([frame % frames for frame in range(start, start + cut.window * apart, apart)])
    return found


def _uniform(cut: Windows, frames: int, step: int) -> list[list[int]]:
    """As looped, but windows that would wrap are moved back to end with the clip."""
    if frames <= cut.window:
        return [list(range(frames))]
    looped = _looped(Windows("looped_uniform", cut.window, cut.overlap, cut.stride), frames, step)
    found: list[list[int]] = []
    for index, window in enumerate(looped):
        wraps_to = next((b for a, b in zip(window, window[1:], strict=False) if b < a), None)
        if wraps_to is None:
            found.append(window)
            continue
        apart = (window[1] - window[0]) % frames
        found.append([frames - 1 - apart * left for left in reversed(range(cut.window))])
        if wraps_to not in (looped[index + 1] if index + 1 < len(looped) else found[0]):  # in no other window
            found.append(_run(wraps_to, cut.window))
    return [window for index, window in enumerate(found) if window not in found[:index]]


def _run(start: int, count: int) -> list[int]:
    return list(range(start, start + count))


def halving(step: int) -> float:
    """Van der Corput's sequence in base 2: 0, 1/2, 1/4, 3/4, 1/8, ..."""
    bits = f"{step:b}"[::-1]
    return int(bits, 2) / 2 ** len(bits)


def _flat(window: Sequence[int], frames: int, overlap: int) -> Tensor:
    return torch.ones(len(window))


def _pyramid(window: Sequence[int], frames: int, overlap: int) -> Tensor:
    rising = torch.arange(1, len(window) + 1)
    return torch.minimum(rising, rising.flip(0)).float()


def _linear(window: Sequence[int], frames: int, overlap: int) -> Tensor:
    """Linear ramps over the overlap, none at the ends of the clip."""
    weights, ramp = torch.ones(len(window)), torch.linspace(LEAST_WEIGHT, 1, overlap)
    if overlap and min(window) > 0:
        weights[:overlap] = ramp[: len(weights)]
    if overlap and max(window) < frames - 1:
        weights[-overlap:] = ramp.flip(0)[-len(weights) :]
    return weights


SCHEDULES: dict[str, Callable[[Windows, int, int], list[list[int]]]] = {
    "standard_static": _static,
    "standard_uniform": _uniform,
    "looped_uniform": _looped,
    "batched": _batched,
    MOVING_BORDERS: _moving,
}
FUSES: dict[str, Callable[[Sequence[int], int, int], Tensor]] = {"pyramid": _pyramid, "flat": _flat, "overlap-linear": _linear}
