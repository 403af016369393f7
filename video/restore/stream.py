"""Frames of a film on their way through the steps of the restoration: scenes, and windows of neighbouring frames."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TypeVar

import torch
from torch import Tensor

from ..frames.cuts import is_cut
from ..frames.registration import Motion, global_motion, still

REACH, PAST = 8, 16
"""Frames that a step looks ahead, and earlier frames whose measurements it keeps."""


@dataclass(frozen=True)
class FilmFrame:
    """A frame and what is known about it."""

    number: int
    picture: Tensor
    """`(3, h, w)` in [0, 1]."""
    painted: Tensor | None = None
    """Damage mask from outside, `(h, w)` in [0, 1]."""
    step: Motion = field(default_factory=still)
    """Motion from the frame before to this one; none in the first frame of a scene."""
    repaired: Tensor | None = None
    """Pixels that were filled, `(h, w)` bool."""

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.shape[1], self.picture.shape[2]

    def with_repair(self, picture: Tensor, mask: Tensor) -> "FilmFrame":
        return replace(self, picture=picture, repaired=mask if self.repaired is None else self.repaired | mask)


Scene = Iterator[FilmFrame]
Item = TypeVar("Item")


def scenes(frames: Iterable[FilmFrame], threshold: float) -> Iterator[Scene]:
    """Splits a film at its cuts, without holding more than four frames. Each scene is to be read before the next one.

    A single frame that looks different (a flash, a blotch) is no cut.
    """
    for _, scene in groupby(_labelled(frames, threshold), key=lambda pair: pair[0]):
        yield (frame for _, frame in scene)


def _labelled(frames: Iterable[FilmFrame], threshold: float) -> Iterator[tuple[int, FilmFrame]]:
    label = 0
    for window, at in around(frames, 2, 1):
        pairs = [(at - 1, at), (at - 1, at + 1), (at - 2, at)]  # the second rules out a flash here, the third one before
        there = [(a, b) for a, b in pairs if a >= 0 and b < len(window)]
        label += bool(there) and all(is_cut(window[a].picture, window[b].picture, threshold) for a, b in there)
        yield label, window[at]


def registered(scene: Iterable[FilmFrame]) -> Scene:
    """Measures the motion from frame to frame."""
    before: FilmFrame | None = None
    guess = still()
    for frame in scene:
        guess = guess if before is None else global_motion(before.picture, frame.picture, guess)
        yield replace(frame, step=still() if before is None else guess)
        before = frame


def around(items: Iterable[Item], back: int, ahead: int) -> Iterator[tuple[Sequence[Item], int]]:
    """Yields each item as (window, place in it): it and up to `back` items before and `ahead` items after it."""
    window: deque[Item] = deque()
    at = 0
    for item in items:
        window.append(item)
        if len(window) - at > ahead:
            yield list(window), at
            at += 1
            if at > back:
                window.popleft()
                at -= 1
    while at < len(window):
        yield list(window), at
        at += 1
        if at > back:
            window.popleft()
            at -= 1


def motion_between(window: Sequence[FilmFrame], here: int, there: int) -> Motion:
    """Motion from one frame of a window to another."""
    total = still()
    for place in range(min(here, there) + 1, max(here, there) + 1):
        total = total.then(window[place].step)
    return total if there >= here else total.inverse()


class Path:
    """A measurement summed up from frame to frame, and its distance from its own smooth course, found by a local line fit."""

    def __init__(self, spread: float = 8.0):
        self._sums: deque[Tensor] = deque()
        self._spread = spread

    def add(self, step: Tensor) -> None:
        self._sums.append(self._sums[-1] + step if self._sums else step * 0)

    def forget(self, keep: int) -> None:
        """Removes the earliest measurements; `keep` remain."""
        while len(self._sums) > keep:
            self._sums.popleft()

    def __len__(self) -> int:
        return len(self._sums)

    def residuals(self, at: int) -> tuple[Tensor, Tensor]:
        """Distance of measurement `at` from its smooth course, and root mean square of all distances."""
        times = torch.arange(len(self._sums), dtype=torch.float64) - at
        weight = torch.exp(-((times / self._spread) ** 2) / 2)
        values = torch.stack(list(self._sums)).double()
        flat = values.flatten(1)
        columns = torch.stack([torch.ones_like(times), times], 1)[:, : min(2, len(times))]
        fit = torch.linalg.lstsq(columns * weight[:, None], flat * weight[:, None]).solution
        apart = (flat - columns @ fit).reshape(values.shape)
        rms = (apart.square() * weight.reshape(-1, *[1] * (apart.ndim - 1))).sum(0) / weight.sum()
        return apart[at], rms.sqrt()
