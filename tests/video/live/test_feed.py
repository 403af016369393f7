"""The feed of a live shot: one block waits, the newest frames win, nothing is lost where the source waits."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from zoetrope.video.live.feed import Arrived, Feed, Note, feeding


def frame(number: int) -> Arrived:
    return Arrived(number, torch.full((3, 8, 8), number / 100), 0.0)


def taken(feed: Feed) -> list[int]:
    block = feed.take(1)
    assert block is not None
    return [one.number for one in block]


def test_newest_frames_win_at_even_distances_and_the_others_are_counted() -> None:
    feed = Feed(4, waits=False)
    for number in range(12):
        feed.put(frame(number))
    numbers = taken(feed)
    assert numbers[-1] == 11
    gaps = [after - before for before, after in zip([-1, *numbers], numbers, strict=False)]
    assert max(gaps) <= 2 * min(gaps)
    assert (feed.arrived, feed.dropped) == (12, 8)
    assert feed.take(0.01) is None
    feed.put(frame(12))
    feed.end()
    assert taken(feed) == [12]
    assert feed.take(0.01) == []


def test_frames_that_a_source_left_out_are_counted() -> None:
    feed = Feed(1, waits=False)
    for number in (40, 41, 45):
        feed.put(frame(number))
    assert (taken(feed), feed.arrived, feed.dropped) == ([45], 6, 5)


class Counting:
    """A source of numbered frames, and what it may do besides."""

    def __init__(self, frames: int, waits: bool, error: Exception | None = None):
        self.frames, self.waits, self.error, self.made = frames, waits, error, 0

    def arrivals(self, stopped: Callable[[float], bool], most: int) -> Iterator[Arrived | Note]:
        yield Note("begins")
        for number in range(self.frames):
            self.made += 1
            yield frame(number)
        if self.error:
            raise self.error


def test_a_source_that_waits_loses_nothing() -> None:
    with feeding(Counting(10, waits=True), 4) as feed:
        assert [taken(feed) for _ in range(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], []]
        assert (feed.arrived, feed.dropped, feed.notes(), feed.notes()) == (10, 0, ["begins"], [])


def test_the_end_of_the_reader_ends_the_source() -> None:
    source = Counting(10_000, waits=True)
    with feeding(source, 2) as feed:
        taken(feed)
    assert source.made < 10
    assert not [thread for thread in threading.enumerate() if thread.name == "zoetrope-live-source"]


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (ValueError("film.mp4: the file cannot be read after frame 3"), "the source has ended: film.mp4: the file cannot be"),
        (KeyError("bug"), "the source has ended because of an error in this pack"),
    ],
)
def test_a_source_that_fails_ends_the_stream_with_the_reason(error: Exception, note: str) -> None:
    with feeding(Counting(3, waits=True, error=error), 2) as feed:
        assert [taken(feed) for _ in range(3)] == [[0, 1], [2], []]
        assert feed.notes()[1].startswith(note)


def test_similar_frames_are_left_out_and_counted_apart() -> None:
    feed = Feed(2, waits=False, keeps=lambda picture: float(picture[0, 0, 0]) > 0.025)
    for number in range(5):
        feed.put(frame(number))
    assert (taken(feed), feed.similar, feed.dropped) == ([3, 4], 3, 0)
