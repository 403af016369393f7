"""Frame tables: the frames whose keys and values each frame of a clip attends to.

Most zero-shot video methods are one table. Text2Video-Zero (arXiv 2303.13439): `first`. Tune-A-Video (2212.11565, 4.2), LaVie's
interpolation model (2309.15103, 3.3), Rerender-A-Video (2306.07954): `first and previous`. TokenFlow's keyframes (2307.10373):
`every n-th frame`. ControlVideo (2305.13077): `all frames`. RAVE (2312.04524): `random groups`.
"""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

FIRST, FIRST_AND_PREVIOUS, PREVIOUS = "first frame", "first and previous frame", "previous frame"
EVERY_NTH, ALL, GROUPS = "every n-th frame", "all frames", "random groups"

OUTSIDE = -1
"""In a table: frame 0 of the clip, whose keys and values another window has."""


@dataclass(frozen=True)
class FrameTable:
    """A rule that makes the table of a clip, or of a window of it.

    pattern   one of `PATTERNS`
    every     distance of the keyframes of `every n-th frame`
    group     frames in each of the `random groups`
    own       whether each frame attends to its own tokens too
    seed      of the random groups
    """

    pattern: str
    every: int = 8
    group: int = 4
    own: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.pattern not in PATTERNS:
            raise ValueError(f"frames: expected one of {', '.join(PATTERNS)}, got {self.pattern!r}")
        for name, value in (("every", self.every), ("group", self.group)):
            if value < 1:
                raise ValueError(f"{name}: expected 1 frame or more, got {value}")

    @property
    def needs_frame_0(self) -> bool:
        """Whether windows without frame 0 of the clip need its keys and values."""
        return self.pattern in (FIRST, FIRST_AND_PREVIOUS)

    @property
    def works_in_a_queue(self) -> bool:
        """Whether it needs no frame that has left a FIFO queue, and frames of one noise level or of the level before."""
        return self.pattern in (PREVIOUS, GROUPS)

    def of(self, numbers: Sequence[int], draw: int = 0) -> Tensor:
        """Positions `(f, k)`, int64, into `numbers`, or `OUTSIDE`.

        numbers   absolute numbers of the frames of one clip or window
        draw      changes the random groups, such as the number of the step
        """
        columns = PATTERNS[self.pattern](self, list(numbers), draw)
        if self.own and self.pattern not in (ALL, GROUPS):
            columns.append(list(range(len(numbers))))
        return torch.tensor(columns, dtype=torch.int64).T.contiguous()


def _first(table: FrameTable, numbers: list[int], draw: int) -> list[list[int]]:
    return [[numbers.index(0) if 0 in numbers else OUTSIDE] * len(numbers)]


def _previous(table: FrameTable, numbers: list[int], draw: int) -> list[list[int]]:
    """A frame without its previous one, such as the first of a window, has itself."""
    position = {number: index for index, number in enumerate(numbers)}
    return [[position.get(number - 1, index) for index, number in enumerate(numbers)]]


def _every_nth(table: FrameTable, numbers: list[int], draw: int) -> list[list[int]]:
    """Keyframes of the window; its first frame where it has none."""
    found = [index for index, number in enumerate(numbers) if number % table.every == 0]
    return [[index] * len(numbers) for index in found or [0]]


def _all(table: FrameTable, numbers: list[int], draw: int) -> list[list[int]]:
    return [[index] * len(numbers) for index in range(len(numbers))]


def _groups(table: FrameTable, numbers: list[int], draw: int) -> list[list[int]]:
    """Each frame with the others of its group. A last group that is short is filled with frames of the one before."""
    count, size = len(numbers), min(table.group, len(numbers))
    # Seeded by the frames as well: windows of one step have groups of their own.
    generator = torch.Generator().manual_seed(zlib.crc32(repr((table.seed, draw, *numbers)).encode()))
    order = torch.randperm(count, generator=generator).tolist()
    rows: dict[int, list[int]] = {}
    for start in range(0, count, size):
        members = order[min(start, count - size) :][:size]
        rows |= {frame: sorted(members) for frame in order[start : start + size]}
    return [[rows[frame][column] for frame in range(count)] for column in range(size)]


PATTERNS: dict[str, Callable[[FrameTable, list[int], int], list[list[int]]]] = {
    FIRST: _first,
    FIRST_AND_PREVIOUS: lambda *given: _first(*given) + _previous(*given),
    PREVIOUS: _previous,
    EVERY_NTH: _every_nth,
    ALL: _all,
    GROUPS: _groups,
}
