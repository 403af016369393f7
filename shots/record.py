"""Recording of a shot while it is sampled: steps of a host's sampler are passed to sinks, decoded frames are yielded.

The caller iterates over a `Recording`, which iterates over rounds of steps of the host's sampler. The result does not depend on
where a round ends.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from .journal import Journal, State
from .sinks import UNFINISHED, DecodedFrame, JournalSink, Sink, Step, VideoSink

log = logging.getLogger(__name__)

ROUND = 20.0
"""Seconds after which sampling pauses to decode the newest frame."""


class Sampler(Protocol):
    """Interface of a host: its model, in steps and rounds, and its VAE."""

    def steps(self, state: State | None) -> Iterator[Step]:
        """Endless steps of the queue from a state on (None: of a new shot). Iterated over within a round only."""
        ...

    def rounds(self, streams: Iterator[Iterator[Step]]) -> Iterator[None]:
        """Exhausts each stream of steps while the model is loaded, and pauses after it."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """Decodes a latent `(c, h, w)` to a picture `(3, h, w)` in [0, 1]. Called between rounds only."""
        ...


@dataclass(frozen=True)
class Shot:
    """Result of a recording."""

    video: Path
    latents: Tensor
    """Latents of the last frames, at most `tail`, `(t, c, h, w)`, for another shot to continue."""
    resumed: int
    """Frames that an earlier run finished."""

    def message(self, frames: int, reason: Sequence[str]) -> str:
        """Summary in one line."""
        count = f"{frames} frames" if frames > 1 else "1 frame"
        if reason:
            return f"{count}, a new shot because of: {', '.join(reason)}"
        if self.resumed == frames:
            return f"{count}, all finished earlier"
        return count + (f", the first {self.resumed} finished earlier" if self.resumed else "")


class Recording:
    """Extends a shot to `frames` frames from the state of its journal; to be iterated over once.

    tail    number of last latents in the result
    more    further sinks, which get steps after the journal
    An error or an interrupt leaves the journal at the last finished frame and, if possible, a playable video of all finished
    frames; then it is raised again. To stop iterating early, close it (`contextlib.closing`).
    """

    shot: Shot
    """The result, once the iteration has ended."""

    def __init__(
        self, journal: Journal, sampler: Sampler, frames: int, fps: float, tail: int, more: Sequence[Sink] = ()
    ):  # fmt: skip
        state = journal.state()
        self.resumed = min(frames, max(0, state.frame)) if state else 0
        """Frames that an earlier run finished."""
        self.next_frame = state.frame if state else None
        """Number of the next frame, negative during warm-up; None for a new shot."""
        self._sampler, self._frames, self._tail, self._folder = sampler, frames, tail, journal.folder
        self._kept = JournalSink(journal, state)
        self._video = VideoSink(self._kept, sampler.decode, frames, fps)
        self._sinks: tuple[Sink, ...] = (self._kept, self._video, *more)
        self._looks = self._run()

    def __iter__(self) -> Iterator[DecodedFrame]:
        return self._looks

    def close(self) -> None:
        """Ends the recording early; has no effect after its end."""
        self._looks.close()

    def _run(self) -> Iterator[DecodedFrame]:
        try:
            if self._kept.begun:
                yield from self._video.catch_up()  # segments that an earlier run did not decode
            for _ in self._sampler.rounds(self._streams()):
                for sink in self._sinks:
                    yield from sink.pause()
            path = self._folder / f"shot_{self._frames:05}_frames.mp4"
            yield from self._video.join(self._frames, path)
            self.shot = Shot(path, self._kept.last(self._frames, self._tail), self.resumed)
        except BaseException:
            self._leave()
            raise

    def _streams(self) -> Iterator[Iterator[Step]]:
        """One stream of steps per round, until the shot is long enough."""
        while not self._kept.begun or self._kept.state.frame < self._frames:
            yield self._until_pause()

    def _until_pause(self) -> Iterator[Step]:
        """Passes steps to the sinks until a segment is full, the shot is long enough, or `ROUND` seconds have passed."""
        kept, segment = self._kept, self._kept.journal.sizes.segment
        until = min(self._frames, (max(0, kept.state.frame) // segment + 1) * segment)
        started = time.monotonic()
        for step in self._sampler.steps(kept.state if kept.begun else None):
            for sink in self._sinks:
                sink.take(step)
            yield step
            if step.frame >= until or time.monotonic() - started >= ROUND:
                return

    def _leave(self) -> None:
        """After an error: saves and joins finished frames as far as possible, without hiding the error."""
        try:
            for sink in self._sinks:
                sink.leave()
            done = max(0, min(self._kept.state.frame, self._frames))
            if done:
                (self._folder / UNFINISHED).unlink(missing_ok=True)
                for _ in self._video.join(done, self._folder / UNFINISHED):
                    pass
        except Exception as error:  # noqa: BLE001  the first error must be raised
            log.warning("Zoetrope: no playable file of the unfinished shot (%s); its segments are in %s", error, self._folder)
