"""Sinks: receivers of finished latents. A new one is a subclass of `Sink`, passed where the shot is recorded.

A sink gets each step of the queue while the model is loaded, and processes it when sampling pauses: then models may be moved
between devices and latents decoded. Frames that it decodes (`DecodedFrame`) are yielded to the caller of the recording.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from .journal import Journal, State

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

    @classmethod
    def of_queue(cls, frame: int, latents: Tensor, queue: Tensor) -> "Step":
        """The step in which `sampling.fifo.run` yields these values; frames with negative numbers are warm-up."""
        return cls(frame + len(latents), queue, latents[max(0, -frame) :])


@dataclass(frozen=True)
class DecodedFrame:
    """A finished frame, decoded."""

    frame: int
    picture: Tensor
    """`(3, h, w)` in [0, 1]."""


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
                f"undefined numbers (NaN) while frame {step.frame - 1} was being finished. The run stops here; the frames "
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
