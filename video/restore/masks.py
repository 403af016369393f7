"""Operations on masks `(h, w)` bool, and the size at which a picture is searched."""

import torch
from torch import Tensor
from torch.nn import functional as F

MOST_ROUNDS = 96


def grown(mask: Tensor, rows: int, columns: int) -> Tensor:
    """A mask grown by a number of pixels up and down, and to the sides."""
    wide = F.max_pool2d(mask[None, None].float(), (2 * rows + 1, 2 * columns + 1), 1, (rows, columns))
    return wide[0, 0] > 0


def closed(mask: Tensor, rows: int) -> Tensor:
    """A mask whose vertical gaps of up to 2 x rows pixels are closed."""
    wide = F.max_pool2d(F.pad(mask[None, None].float(), (0, 0, rows, rows)), (2 * rows + 1, 1), 1, (rows, 0))
    return -F.max_pool2d(-wide, (2 * rows + 1, 1), 1, (rows, 0))[0, 0, rows:-rows] > 0


def connected(seeds: Tensor, mask: Tensor) -> Tensor:
    """The parts of a mask that contain a seed (8-connected)."""
    found = seeds & mask
    for _ in range(MOST_ROUNDS):
        more = grown(found, 1, 1) & mask
        if torch.equal(more, found):
            break
        found = more
    return found


def without_single_pixels(mask: Tensor) -> Tensor:
    around = F.avg_pool2d(mask[None, None].float(), 3, 1, 1, divisor_override=1)[0, 0]
    return mask & (around > 1.5)


def long_lines(mask: Tensor, least: int) -> Tensor:
    """Pixels on near-vertical lines of at least some length, which may move by one column per row."""
    down, up = _run_lengths(mask), _run_lengths(mask.flip(0)).flip(0)
    return mask & (down + up - 1 >= least)


def _run_lengths(mask: Tensor) -> Tensor:
    rows, now = [], torch.zeros(mask.shape[1])
    for row in mask.float():
        longest = F.max_pool1d(now[None, None], 3, 1, 1)[0, 0]
        now = row * (longest + 1)
        rows.append(now)
    return torch.stack(rows)
