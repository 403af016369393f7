"""Feed of a live shot: frames from a source in a thread of its own; at most one block waits for the model."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

log = logging.getLogger(__name__)

MOST_NOTES = 32
"""Messages that wait to be read; older ones are in the log only."""


@dataclass(frozen=True)
class Arrived:
    """A frame of a source."""

    number: int
    """Position in the source, from 0; frames that were left out are counted."""
    picture: Tensor
    """`(3, h, w)` in [0, 1]"""
    moment: float
    """Time of arrival, `time.monotonic()`."""


@dataclass(frozen=True)
class Note:
    """A message of a source for the user: it stalls, goes on, or has a picture that cannot be used."""

    text: str


class Source(Protocol):
    """Frames that arrive over time."""

    @property
    def waits(self) -> bool:
        """Whether every frame is used, so that the source waits for the model; else frames are dropped."""
        ...

    def arrivals(self, stopped: Callable[[float], bool], most: int) -> Iterator[Arrived | Note]:
        """Yields frames as they arrive, and messages. Raises ValueError where the source cannot be read (any further).

        stopped   waits for so many seconds, and returns whether the stream is to end
        most      frames that are used at a time; of a larger number that is there at once, only the last need be yielded
        """
        ...


class Feed:
    """The frames that wait for the model. Thread-safe."""

    def __init__(self, block: int, waits: bool, keeps: Callable[[Tensor], bool] | None = None):
        """block: frames that are taken at a time; waits: see `Source`; keeps: a filter, such as `SimilarityFilter.keeps`."""
        self._block, self._waits, self._keeps = block, waits, keeps
        self._changed = threading.Condition()
        self._waiting: list[Arrived] = []
        self._taken = -1
        """Number of the last frame that was taken."""
        self._last: int | None = None
        self._notes: deque[str] = deque(maxlen=MOST_NOTES)
        self._ended = self._closed = False
        self.arrived = self.similar = 0
        """Frames that have arrived, and those of them that the filter left out."""
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Frames that arrived too fast for the model."""
        return self._dropped

    def put(self, frame: Arrived) -> None:
        """Adds a frame. Waits for the model if the source does, else replaces older frames."""
        with self._changed:
            missed = 0 if self._last is None else frame.number - self._last - 1
            self._last, self.arrived, self._dropped = frame.number, self.arrived + 1 + missed, self._dropped + missed
            if self._keeps and not self._keeps(frame.picture):
                self.similar += 1
                return
            while self._waits and len(self._waiting) >= self._block and not self._closed:
                self._changed.wait()
            self._waiting.append(frame)
            if len(self._waiting) > self._block:
                self._waiting.pop(self._most_crowded())
                self._dropped += 1
            self._changed.notify_all()

    def _most_crowded(self) -> int:
        """Index of the waiting frame without which the others are spaced most evenly; never the newest."""
        numbers = [self._taken, *(frame.number for frame in self._waiting)]
        return min(range(len(self._waiting) - 1), key=lambda index: numbers[index + 2] - numbers[index])

    def note(self, text: str) -> None:
        """Adds a message."""
        log.warning("Zoetrope: %s", text)
        with self._changed:
            self._notes.append(text)
            self._changed.notify_all()

    def end(self) -> None:
        """Declares that no further frame arrives."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def close(self) -> None:
        """Declares that no further frame is taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def closed(self, seconds: float) -> bool:
        """Waits until the feed is closed, at most so many seconds. Returns whether it is."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed, max(0.0, seconds))
            return self._closed

    def take(self, seconds: float) -> list[Arrived] | None:
        """Takes a block; fewer frames at the end of the source, then none. None where no block is there after `seconds`."""
        with self._changed:
            ready = self._changed.wait_for(lambda: self._ended or len(self._waiting) >= self._block, seconds)
            if not ready:
                return None
            block, self._waiting = self._waiting, []
            self._taken = block[-1].number if block else self._taken
            self._changed.notify_all()
            return block

    def notes(self) -> list[str]:
        """Takes the messages that have arrived."""
        with self._changed:
            found = list(self._notes)
            self._notes.clear()
            return found


@contextmanager
def feeding(source: Source, block: int, keeps: Callable[[Tensor], bool] | None = None) -> Iterator[Feed]:
    """A feed that a thread fills from a source, for the length of a `with` block. An error of the source ends the stream."""
    feed = Feed(block, source.waits, keeps)

    def work() -> None:
        try:
            for one in source.arrivals(feed.closed, block):
                if feed.closed(0):
                    return
                feed.note(one.text) if isinstance(one, Note) else feed.put(one)
        except (ValueError, OSError) as error:
            feed.note(f"the source has ended: {error}")
        except Exception:
            log.exception("Zoetrope: an error in the source of a live shot, which ends here")
            feed.note("the source has ended because of an error in this pack; the log has the details")
        finally:
            feed.end()

    thread = threading.Thread(target=work, name="zoetrope-live-source", daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        feed.close()
        thread.join(timeout=5)
