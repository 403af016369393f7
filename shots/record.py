"""Recording of a shot while it is sampled: each step of the host's sampler is passed to sinks, decoded frames are yielded.

The caller iterates over a `Recording`, which runs the host's sampler in rounds: sampling steps, then a pause for decoding. The
result does not depend on where a round ends.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from .journal import Journal, Scalar, State
from .sinks import DecodedFrame, JournalSink, Sink, Step
from .videos import Decoder, VideoSink, decoding_for

log = logging.getLogger(__name__)

ROUND = 20.0
"""Seconds after which sampling pauses to decode the newest frame."""


class Sampler(Decoder, Protocol):
    """What a host implements for a recording: sampling in steps and rounds, and decoding between rounds."""

    def steps(self, state: State | None) -> Iterator[Step]:
        """Yields steps of the queue without end, starting from a state (None: a new shot). Used only within a round."""
        ...

    def rounds(self, streams: Iterator[Iterator[Step]]) -> Iterator[None]:
        """Runs each stream of steps to its end with the model loaded, and yields after each: the pause for decoding."""
        ...


@dataclass(frozen=True)
class Shot:
    """Result of a recording."""

    video: Path
    latents: Tensor
    """Latents of the last frames (at most `tail` of them) `(t, c, h, w)`, from which another shot can continue."""
    resumed: int
    """Number of frames that earlier runs finished."""
    decoding: Sequence[str] = ()
    """Why stored latents are decoded to new files: differences from the decoding before."""

    def message(self, frames: int, reason: Sequence[str]) -> str:
        """Summary in one line."""
        count = f"{frames} frames" if frames > 1 else "1 frame"
        if reason:
            return f"{count}, a new shot because of: {', '.join(reason)}"
        again = f"; decoded again because of: {', '.join(self.decoding)}" if self.decoding and self.resumed else ""
        if self.resumed == frames:
            return f"{count}, all finished earlier{again}"
        return count + (f", the first {self.resumed} finished earlier" if self.resumed else "") + again


class Recording:
    """Continues a shot from the state of its journal until it has `frames` frames. It can be iterated over only once.

    fps     frames per second of the video; frames: its length. Where the decoder compresses time or needs later latents, the
            number of latents is another one; those after the last frame are stored, and used when the shot is made longer
    tail    number of last latents in the result
    more    further sinks; they get each step after the journal
    video   settings of the decoder, which latents do not depend on
    After an error or an interrupt, the journal is saved and, if possible, the finished frames are joined to a playable video;
    then the error is raised again. To stop iterating early, close the recording (`contextlib.closing`).
    """

    shot: Shot
    """The result, once the iteration has ended."""

    def __init__(
        self, journal: Journal, sampler: Sampler, frames: int, fps: float, tail: int, more: Sequence[Sink] = (),
        video: Mapping[str, Scalar] | None = None,
    ):  # fmt: skip
        state = journal.state()
        self.next_frame = state.frame if state else None
        """Number of the next latent, negative during warm-up; None for a new shot."""
        self._sampler, self._frames, self._tail, self._folder = sampler, frames, tail, journal.folder
        self._decoding = decoding_for(journal, {"fps": fps, **(video or {})})
        self._journal_sink = JournalSink(journal, state)
        self._video = VideoSink(self._journal_sink, sampler, self._decoding, frames, fps)
        self.resumed = self._video.final
        """Number of frames that earlier runs finished."""
        self._latents = sampler.pieces.latents(frames)
        """Number of latents that the frames need."""
        self._sinks: tuple[Sink, ...] = (self._journal_sink, self._video, *more)
        self._decoded_frames = self._run()

    def __iter__(self) -> Iterator[DecodedFrame]:
        return self._decoded_frames

    def close(self) -> None:
        """Ends the recording early; has no effect after its end."""
        self._decoded_frames.close()

    def _run(self) -> Iterator[DecodedFrame]:
        try:
            if self._journal_sink.begun:
                yield from self._video.catch_up()  # segments that an earlier run did not decode
            for _ in self._sampler.rounds(self._streams()):
                for sink in self._sinks:
                    yield from sink.pause()
            path = self._video.joined(self._frames)
            yield from self._video.join(self._frames, path)
            last = self._journal_sink.last(self._sampler.pieces.ratio.latents(self._frames), self._tail)
            self.shot = Shot(path, last, self.resumed, self._decoding.reason)
        except BaseException:
            self._save_unfinished()
            raise

    def _streams(self) -> Iterator[Iterator[Step]]:
        """One stream of steps per round, until the shot is long enough."""
        while not self._journal_sink.begun or self._journal_sink.state.frame < self._latents:
            yield self._until_pause()

    def _until_pause(self) -> Iterator[Step]:
        """Passes steps to the sinks until a segment is full, the shot is long enough, or `ROUND` seconds have passed."""
        journal, segment = self._journal_sink, self._journal_sink.journal.sizes.segment
        until = min(self._latents, (max(0, journal.state.frame) // segment + 1) * segment)
        started = time.monotonic()
        for step in self._sampler.steps(journal.state if journal.begun else None):
            for sink in self._sinks:
                sink.take(step)
            yield step
            if step.frame >= until or time.monotonic() - started >= ROUND:
                return

    def _save_unfinished(self) -> None:
        """Saves the state and joins the finished frames after an error. A further error is only logged."""
        try:
            for sink in self._sinks:
                sink.save_unfinished()
            self._video.join_unfinished()
        except Exception as error:  # noqa: BLE001  the first error must be raised
            log.warning("Zoetrope: no video of the unfinished shot (%s); its latents are in %s", error, self._folder)
