"""Sinks: receivers of finished latents. A new one is a subclass of `Sink`, passed where the shot is recorded.

A sink gets each step of the queue while the model is loaded, and processes it when sampling pauses: then models may be moved
between devices and latents decoded. Frames that it decodes (`DecodedFrame`) are yielded to the caller of the recording.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..video.io.join import BrokenPart, join_videos
from ..video.io.write import VideoWriter
from .journal import Journal, State

log = logging.getLogger(__name__)

SAVED_EVERY = 1.0
"""Seconds of work that may be lost in a crash, besides the current frame; more where saving takes long."""
SAVING_SHARE = 0.05
"""Largest share of time that is spent on saving the state."""


@dataclass(frozen=True)
class Step:
    """State of a shot after a step of its queue, and the latents that the step finished."""

    frame: int
    """Number of the next frame; negative during warm-up."""
    queue: Tensor
    """`(places, c, h, w)`"""
    finished: Tensor
    """Finished latents `(n, c, h, w)`: none during warm-up."""
    position: tuple[int, ...] = ()
    """As in `journal.State`."""


@dataclass(frozen=True)
class DecodedFrame:
    """A finished frame, decoded."""

    frame: int
    picture: Tensor
    """`(3, h, w)` in [0, 1]."""


Decode = Callable[[Tensor], Tensor]
"""A latent `(c, h, w)` -> its picture `(3, h, w)` in [0, 1]."""


class Sink:
    """Receives the finished latents of a shot; each method is optional."""

    def take(self, step: Step) -> None:
        """Receives a step, while the model is loaded; must not decode."""

    def pause(self) -> Iterator[DecodedFrame]:
        """Processes received steps while sampling pauses, and yields the frames that it decodes."""
        yield from ()

    def save_unfinished(self) -> None:
        """Saves what it can after an error or an interrupt."""


class JournalSink(Sink):
    """Writes latents and queue to disk; at most `SAVED_EVERY` seconds of work are lost in a crash, with a small state."""

    def __init__(self, journal: Journal, state: State | None):
        self.journal = journal
        empty = torch.zeros(0, *journal.sizes.latent)
        self.state = state or State(0, empty, empty)
        self.begun, self._unsaved, self._save_at = state is not None, False, time.monotonic() + SAVED_EVERY

    def take(self, step: Step) -> None:
        if not bool(step.queue.isfinite().all() and step.finished.isfinite().all()):
            raise ValueError(
                f"undefined numbers (NaN) while frame {step.frame - 1} was being finished. The shot stops here; the frames "
                f"before it are stored in {self.journal.folder}. Lower the cfg, or run the model in bf16 or fp32."
            )
        pending = torch.cat([self.state.pending, step.finished.to("cpu", torch.float32)])
        segment = self.journal.sizes.segment
        while len(pending) >= segment:
            self.journal.close_segment((step.frame - len(pending)) // segment, pending[:segment])
            pending = pending[segment:]
        self.state = State(step.frame, step.queue.to("cpu", torch.float32), pending, step.position)
        self.begun, self._unsaved = True, True
        if time.monotonic() > self._save_at:
            self.save()

    def pause(self) -> Iterator[DecodedFrame]:
        self.save()
        yield from ()

    def save_unfinished(self) -> None:
        self.save()

    def save(self) -> None:
        if self._unsaved:
            started = time.monotonic()
            self.journal.save(self.state)
            now, self._unsaved = time.monotonic(), False
            self._save_at = now + max(SAVED_EVERY, (now - started) / SAVING_SHARE)

    def latents(self, number: int) -> Tensor:
        """Latents of a segment; of the incomplete last one, those that are finished."""
        return self.journal.latents(number) if self.journal.latents_path(number).exists() else self.state.pending

    def from_frame(self, start: int, stop: int) -> Iterator[Tensor]:
        """Latents `(c, h, w)` of the finished frames `start` to `stop` - 1, in the memory of one segment."""
        segment = self.journal.sizes.segment
        for number in range(start // segment, -(-stop // segment)):
            begin = number * segment
            yield from self.latents(number)[max(0, start - begin) : stop - begin]

    def last(self, frames: int, count: int) -> Tensor:
        """The last `count` latents before frame `frames`."""
        segment, start = self.journal.sizes.segment, max(0, frames - count)
        parts = [self.latents(number) for number in range(start // segment, -(-frames // segment))]
        return torch.cat(parts)[start % segment :][: frames - start]


class VideoSink(Sink):
    """Decodes latents to segments of video, and joins them to one file."""

    def __init__(self, kept: JournalSink, decode: Decode, frames: int, fps: float):
        self._kept, self._decode, self._frames, self._fps = kept, decode, frames, fps

    def catch_up(self) -> Iterator[DecodedFrame]:
        """Writes every full segment that has no video yet."""
        segment = self._kept.journal.sizes.segment
        for number in range(self._done // segment):
            yield from self._segment(number, segment)

    def pause(self) -> Iterator[DecodedFrame]:
        """Writes full segments; decodes the newest frame of an incomplete one."""
        yield from self.catch_up()
        pending = self._kept.state.pending  # none where the initial clip ends with a full segment
        if self._done % self._kept.journal.sizes.segment and len(pending):
            yield DecodedFrame(self._kept.state.frame - 1, self._decode(pending[-1]))

    @property
    def _done(self) -> int:
        return max(0, min(self._kept.state.frame, self._frames))

    def join(self, frames: int, path: Path) -> Iterator[DecodedFrame]:
        """Joins the videos of all segments, written where missing, to one file; removes files that it replaces."""
        if path.exists():
            return
        segment = self._kept.journal.sizes.segment
        parts = yield from self._joined(frames, path)
        leftovers = [path.with_name(UNFINISHED), *([parts[-1]] if frames % segment else [])]
        for leftover in leftovers:
            if leftover != path:
                leftover.unlink(missing_ok=True)

    def _joined(self, frames: int, path: Path) -> Generator[DecodedFrame, None, list[Path]]:
        """Joins segments and returns their paths; one that cannot be read is decoded again from its latents."""
        segment, remade = self._kept.journal.sizes.segment, set()
        while True:
            parts = []
            for number in range(-(-frames // segment)):
                parts.append((yield from self._segment(number, min(segment, frames - number * segment))))
            try:
                join_videos(parts, path)
                return parts
            except BrokenPart as error:
                if error.part in remade:
                    raise
                log.warning("Zoetrope: %s; it is decoded again from its latents", error)
                remade.add(error.part)
                error.part.unlink()

    def _segment(self, number: int, frames: int) -> Generator[DecodedFrame, None, Path]:
        """Writes the video of a segment, or of its first frames, decoded one by one, unless it exists."""
        path = self._kept.journal.video_path(number, frames)
        if path.exists():
            return path
        with VideoWriter(path, self._fps, joinable=True) as writer:
            latents = self._kept.latents(number)[:frames]
            for frame, latent in enumerate(latents, number * self._kept.journal.sizes.segment):
                picture = self._decode(latent)
                if not bool(picture.isfinite().all()):
                    raise ValueError(
                        f"frame {frame} was decoded to undefined numbers (NaN); its latent is intact and stored in "
                        f"{self._kept.journal.folder}. Run the VAE in bf16 or fp32 and queue again."
                    )
                writer.add(picture)
                yield DecodedFrame(frame, picture)
        return path


UNFINISHED = "unfinished.mp4"
"""The playable file of a shot that was interrupted."""
