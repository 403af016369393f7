"""Detection of interlaced frames: combs of single rows where something moves."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice

import torch
from torch import Tensor

CHECKED = 12
"""Frames at the start of a film that are checked."""
MOVES, STANDS_OUT, SHARE, RATIO = 0.05, 0.06, 0.03, 3.0
"""Difference from the frame before where something moves; difference of a row from both neighbours; share of such pixels in a
frame that is interlaced; ratio to the share of such columns."""


def checked_for_interlacing(frames: Iterable[Tensor]) -> Iterator[Tensor]:
    """Passes frames `(3, h, w)` through. Raises ValueError before the first one if they are interlaced."""
    rest = iter(frames)
    first = list(islice(rest, CHECKED))
    combed = [is_combed(before, frame) for before, frame in zip(first, first[1:], strict=False)]
    if len(combed) > 1 and sum(combed) > len(combed) / 2:
        raise ValueError(
            "the video is interlaced: neighbouring rows are of different times. Deinterlace it first, such as with "
            "`ffmpeg -i video.mp4 -vf bwdif progressive.mp4`, or with a deinterlacing node"
        )
    return chain(first, rest)


def is_combed(before: Tensor, frame: Tensor) -> bool:
    """Whether rows alternate where the picture has changed since the frame before."""
    if before.shape != frame.shape or min(frame.shape[1:]) < 8:
        return False
    grey = frame.mean(0)
    moves = (grey - before.mean(0)).abs() > MOVES
    rows, columns = float((_combs(grey) & moves).float().mean()), float((_combs(grey.T).T & moves).float().mean())
    return rows > SHARE and rows > RATIO * columns


def _combs(grey: Tensor) -> Tensor:
    """Pixels whose row stands out from both neighbours in the same direction, `(h, w)` bool."""
    above, below = grey[1:-1] - grey[:-2], grey[1:-1] - grey[2:]
    found = (above * below > 0) & (torch.minimum(above.abs(), below.abs()) > STANDS_OUT)
    return torch.nn.functional.pad(found, (0, 0, 1, 1))
