"""A shot recorded while it is sampled: steps are pulled out of a host's sampler, sinks take them, decoded frames come out.

Everything is pulled from above: whoever iterates over a `Recording` pulls decoded frames, the recording pulls rounds of steps
out of the host's sampler. Where a round ends changes no bit.
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
    """What a host brings: its model, in steps and rounds, and its VAE."""

    def steps(self, state: State | None) -> Iterator[Step]:
        """Steps of the queue without an end, from a state on; None: of a new shot. Pulled in a round only."""
        ...

    def rounds(self, streams: Iterator[Iterator[Step]]) -> Iterator[None]:
        """Pulls each stream of steps to its end while the model is loaded, and pauses after it."""
        ...

    def decode(self, latent: Tensor) -> Tensor:
        """A latent `(c, h, w)` to a picture `(3, h, w)` in [0, 1]; between rounds."""
        ...


@dataclass(frozen=True)
class Shot:
    """What a recording left."""

    video: Path
    latents: Tensor
    """The last ones, up to `tail` frames `(t, c, h, w)`: what another shot may continue."""
    resumed: int
    """Frames that were there already."""

    def message(self, frames: int, reason: Sequence[str]) -> str:
        """What happened, in a line."""
        count = f"{frames} frames" if frames > 1 else "1 frame"
        if reason:
            return f"{count}, a new shot because of: {', '.join(reason)}"
        if self.resumed == frames:
            return f"{count}, all of them there already"
        return count + (f", the first {self.resumed} there already" if self.resumed else "")


class Recording:
    """Brings a shot to `frames` frames, from wherever its journal stands; to be iterated over once.

    tail    how many of the last latents are handed out
    more    further sinks, which take steps after the journal
    An error or an interrupt leaves the journal at the last finished frame and a playable video of all finished frames, if
    that is still possible; then it goes on to the caller. Whoever stops iterating closes it (`contextlib.closing`).
    """

    shot: Shot
    """What was made, once the iteration has ended."""

    def __init__(
        self, journal: Journal, sampler: Sampler, frames: int, fps: float, tail: int, more: Sequence[Sink] = ()
    ):  # fmt: skip
        state = journal.state()
        self.resumed = min(frames, max(0, state.frame)) if state else 0
        """Frames that are there already."""
        self.stands = state.frame if state else None
        """The frame that comes out next, below zero in warm-up; None where nothing is begun."""
        self._sampler, self._frames, self._tail, self._folder = sampler, frames, tail, journal.folder
        self._kept = JournalSink(journal, state)
        self._video = VideoSink(self._kept, sampler.decode, frames, fps)
        self._sinks: tuple[Sink, ...] = (self._kept, self._video, *more)
        self._looks = self._run()

    def __iter__(self) -> Iterator[DecodedFrame]:
        return self._looks

    def close(self) -> None:
        """Ends the recording where it stands; harmless after its end."""
        self._looks.close()

    def _run(self) -> Iterator[DecodedFrame]:
        try:
            if self._kept.begun:
                yield from self._video.catch_up()  # pictures that an earlier run could not make any more
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
        """One per round, until the shot is long enough."""
        while not self._kept.begun or self._kept.state.frame < self._frames:
            yield self._until_pause()

    def _until_pause(self) -> Iterator[Step]:
        """Steps until a segment is full, the shot is long enough, or it is time to look; the sinks take each."""
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
        """After an error: what is finished is saved and joined, as far as that works; the error itself must not be hidden."""
        try:
            for sink in self._sinks:
                sink.leave()
            done = max(0, min(self._kept.state.frame, self._frames))
            if done:
                (self._folder / UNFINISHED).unlink(missing_ok=True)
                for _ in self._video.join(done, self._folder / UNFINISHED):
                    pass
        except Exception as error:  # noqa: BLE001  the first error is the one to show
            log.warning("Zoetrope: no playable file of the unfinished shot (%s); its segments are in %s", error, self._folder)
