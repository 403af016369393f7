"""Blocks of source latents that enter a live shot: from a feed of pictures, or from the record of an earlier shot."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ...video.live.feed import Arrived, Feed
from ..journal import Journal
from .record import LIVE_SEGMENT, sources

PATIENCE = 0.2
"""Seconds that a take waits for a block; then the caller may look for an interrupt."""


@dataclass(frozen=True)
class Entering:
    """A block for the queue; at the end of the source, its last frame is repeated."""

    latents: Tensor
    """`(b, c, h, w)`, in the sampler's scale"""
    numbers: Sequence[int] = ()
    """Numbers in the source of the frames that are not repetitions."""
    moments: Sequence[float] = ()
    """Times of their arrival."""

    @property
    def used(self) -> int:
        return len(self.numbers)


class LiveInput(Protocol):
    """Where blocks come from."""

    def take(self) -> Entering | None:
        """The next block, fewer `used` frames at the end; None where none is there yet."""
        ...

    def notes(self) -> list[str]:
        """New messages."""
        ...

    def counts(self) -> tuple[int, int, int]:
        """Frames that arrived, that were dropped, and that a filter left out."""
        ...


class FromFeed:
    """Blocks of a feed. ahead: encodes the next block while the model works; only where the source waits for the model."""

    def __init__(self, feed: Feed, encode: Callable[[Tensor], Tensor], block: int, threads: ThreadPoolExecutor | None = None):
        self._feed, self._encode, self._block, self._threads = feed, encode, block, threads
        self._last: Tensor | None = None
        self._next: Future[Entering | None] | None = None

    def take(self) -> Entering | None:
        if self._threads is None:
            return self._taken()
        here = self._next or self._threads.submit(self._taken)
        found = here.result()
        self._next = self._threads.submit(self._taken) if found is None or found.used == self._block else None
        return found

    def _taken(self) -> Entering | None:
        frames = self._feed.take(PATIENCE)
        if frames is None:
            return None
        latents = self._encoded(frames)
        return Entering(latents, [frame.number for frame in frames], [frame.moment for frame in frames])

    def _encoded(self, frames: Sequence[Arrived]) -> Tensor:
        missing = self._block - len(frames)
        if not frames:
            return torch.zeros(0) if self._last is None else self._last.expand(missing, *self._last.shape)
        pictures = torch.stack([frame.picture for frame in frames])
        latents = self._encode(pictures)
        self._last = latents[-1]
        return torch.cat([latents, self._last.expand(missing, *self._last.shape)]) if missing else latents

    def notes(self) -> list[str]:
        return self._feed.notes()

    def counts(self) -> tuple[int, int, int]:
        return self._feed.arrived, self._feed.dropped, self._feed.similar


@contextmanager
def from_feed(feed: Feed, encode: Callable[[Tensor], Tensor], block: int, ahead: bool) -> Iterator[FromFeed]:
    """`FromFeed` for the length of a `with` block."""
    if not ahead:
        yield FromFeed(feed, encode, block)
        return
    with ThreadPoolExecutor(1, "zoetrope-live-encoder") as threads:
        yield FromFeed(feed, encode, block, threads)


class FromRecord:
    """Blocks of the record of an earlier live shot, from its first frame on."""

    def __init__(self, journal: Journal, used: int, ended: bool, block: int, start: int = 0):
        """used: frames of the record; ended: whether its source had ended; start: frames that entered already."""
        self._journal, self._used, self._ended, self._block, self._next = journal, used, ended, block, start
        self._segment: tuple[int, Tensor, list[int]] | None = None

    def take(self) -> Entering | None:
        stop = min(self._used, self._next + self._block)
        found = [self._frame(number) for number in range(self._next, stop)]
        last = found[-1][0] if found else self._frame(self._used - 1)[0]
        latents = torch.stack([*(latent for latent, _ in found), *[last] * (self._block - len(found))])
        self._next = stop
        return Entering(latents, [number for _, number in found])

    def _frame(self, number: int) -> tuple[Tensor, int]:
        """Latent `(c, h, w)` of a frame, and its number in the source."""
        segment = number // LIVE_SEGMENT
        if self._segment is None or self._segment[0] != segment:
            self._segment = (segment, *sources(self._journal, segment))
        _, latents, numbers = self._segment
        if number % LIVE_SEGMENT >= len(latents):
            raise ValueError(f"{self._journal.folder}: damaged (source frame {number} is missing); begin a new live shot")
        return latents[number % LIVE_SEGMENT], numbers[number % LIVE_SEGMENT]

    def notes(self) -> list[str]:
        return []

    def counts(self) -> tuple[int, int, int]:
        return self._next, 0, 0
