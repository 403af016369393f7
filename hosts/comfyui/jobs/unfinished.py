"""Unfinished runs of jobs that sample a stream: finished latents and the frames in the steps are stored, and continued from.

Finished latents of an earlier run are decoded again, through the same windows, and not sampled again. So a run that was stopped
or killed any number of times gives the bits of one without a break.
"""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import prod
from types import TracebackType
from typing import Protocol

import torch
from torch import Tensor

from ....shots.journal import SEGMENT, Journal, Sizes
from ....shots.sinks import JournalSink, Step
from ..sampling.rounds import RoundRunner
from ..vae.chunked import ChunkedVae, sees_time

log = logging.getLogger(__name__)

WINDOWS = 8
"""Windows that enter per round."""
STORED_EVERY, STORING_SHARE = 5.0, 0.01
"""Seconds after which the state is stored within a round; largest share of time for that, besides writing it to disk."""
KEPT = "Finished windows are kept."


class Stream(Protocol):
    """Steps over a clip with a state that can be stored: `stream.EulerSteps`, `interpolation.Filling`."""

    entered: int

    @property
    def calls(self) -> int: ...
    @property
    def lanes(self) -> int: ...
    @property
    def places(self) -> int: ...
    @property
    def done(self) -> bool: ...
    def push(self, item: Tensor, /) -> list[Tensor]: ...
    def finish(self) -> Iterator[list[Tensor]]: ...
    def state(self, shape: Sequence[int]) -> tuple[Tensor, tuple[int, ...]]: ...
    def restore(self, frames: Tensor, counters: Sequence[int], /) -> None: ...


@dataclass(frozen=True)
class Entry:
    """Items that enter a stream at once."""

    first: int
    """Items of the first window."""
    stride: int
    """Further items of each later one."""


class Unfinished:
    """The unfinished run of a job; a context manager that saves it at an error or interrupt, and removes it at the end.

    journal    makes or finds the journal for tensors of these sizes; None: nothing is stored
    progress   called with the number of model calls so far, those of earlier runs included
    stopped    called with a line of text after an error or interrupt
    """

    def __init__(
        self,
        journal: Callable[[Sizes], Journal] | None = None,
        progress: Callable[[int], None] = lambda calls: None,
        stopped: Callable[[str], None] = lambda text: None,
    ):
        self._journal, self._progress, self._stopped = journal, progress, stopped
        self._sink: JournalSink | None = None
        self._latent: tuple[int, ...] = ()
        self._calls, self._store_at = 0, 0.0
        """Calls in scenes before; time at which the state is stored again."""
        self.frames = self.calls = 0
        """Latents that earlier runs finished, and their model calls."""
        self.places = self.called = 0
        """Latents in the state; model calls of this run."""
        self.seconds = 0.0
        """Seconds of the model calls of this run."""

    def __enter__(self) -> "Unfinished":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._sink is None:
            return
        folder = self._sink.journal.folder
        if error is None or not self._sink.begun:
            shutil.rmtree(folder, ignore_errors=True)
            return
        try:
            self._sink.save_unfinished()
        except OSError as problem:  # the first error must be raised
            log.warning("Zoetrope: the unfinished run is not saved (%s)", problem)
            return
        self._stopped(f"stopped; finished windows are kept in {folder.name}: queue again to continue")

    def open(self, places: int, latent: tuple[int, ...]) -> None:
        """Opens the journal, once. places: of the stream's state; latent: c h w."""
        self._latent, self.places = latent, places
        if self._journal is not None and self._sink is None:
            journal = self._journal(Sizes(places, SEGMENT, latent))
            self._sink = JournalSink(journal, journal.state())
            self.frames = self._sink.state.frame

    @property
    def values(self) -> int:
        """Values of a latent."""
        return prod(self._latent)

    def is_past(self, begin: int) -> bool:
        """Whether an earlier run finished the scene that begins with latent number `begin`, and began another one."""
        return self._sink is not None and self._sink.begun and begin < self._sink.state.position[0]

    def restore(self, stream: Stream, begin: int) -> None:
        """Restores the stream of the scene that begins with latent number `begin`, where an earlier run began it."""
        if self._sink is not None and self._sink.begun and begin == self._sink.state.position[0]:
            _, self._calls, *counters = self._sink.state.position
            stream.restore(self._sink.state.queue, counters)
            self.calls = self._calls + stream.calls
            self._progress(self.calls)

    def stored(self, begin: int) -> Iterator[Tensor]:
        """The latents of a scene that an earlier run finished; for `is_past` scenes, those of later ones follow."""
        return iter(()) if self._sink is None else self._sink.from_frame(begin, self._sink.state.frame)

    def sampled(
        self, stream: Stream, source: Iterator[Tensor], entry: Entry, rounds: RoundRunner, begin: int
    ) -> Iterator[Tensor]:
        """The scene's further latents. source: items that have not entered yet."""
        while not stream.done:
            count = entry.stride * WINDOWS + (0 if stream.entered else entry.first - entry.stride)
            now = list(islice(source, count))  # read and encoded here, before the host loads the model
            started, calls, finished = time.monotonic(), stream.calls, list[Tensor]()
            lanes = (count - len(now)) // entry.stride + 1 if len(now) < count else 0
            rounds.run(self._collected(_computed(stream, now, lanes), stream, finished, begin))
            self.seconds, self.called = self.seconds + time.monotonic() - started, self.called + stream.calls - calls
            yield from finished
        self._calls += stream.calls

    def _collected(
        self, computed: Iterator[list[Tensor]], stream: Stream, finished: list[Tensor], begin: int
    ) -> Iterator[None]:
        """Collects the latents of a round, and stores the state within it and at its end."""
        stored = 0
        for latents in computed:
            finished += latents
            if time.monotonic() > self._store_at:
                self._store(stream, finished[stored:], begin)
                stored = len(finished)
            yield
        self._store(stream, finished[stored:], begin)

    def _store(self, stream: Stream, finished: list[Tensor], begin: int) -> None:
        started = time.monotonic()
        if self._sink is not None:
            queue, counters = stream.state(self._latent)
            latents = torch.stack(finished) if finished else torch.zeros(0, *self._latent)
            self._sink.take(Step(self._sink.state.frame + len(finished), queue, latents, (begin, self._calls, *counters)))
        now = time.monotonic()
        self._store_at = now + max(STORED_EVERY, (now - started) / STORING_SHARE)
        self._progress(self._calls + stream.calls)


def _computed(stream: Stream, items: list[Tensor], lanes: int) -> Iterator[list[Tensor]]:
    """Passes items into a stream, and after the last one `lanes` of its lanes to their end; yields what leaves it."""
    for item in items:
        yield stream.push(item)
    yield from islice(stream.finish(), lanes)


def encoded_before(chunked_vae: ChunkedVae, entered: int) -> int:
    """Number of frames that need not be encoded again, of those that entered in an earlier run: whole windows of a VAE whose
    latents do not depend on frames of other windows."""
    cut = chunked_vae.cut
    return 0 if cut.overlap or sees_time(chunked_vae.vae) else entered // cut.size * cut.size
