"""Spatial tiling: overlapping tiles, blended smoothly; time and channels are not cut."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor

Work = Callable[[Tensor, tuple[int, int]], Tensor]
"""(tile `(..., h, w)`, its (top, left) in the picture) -> output of the network for the tile."""


@dataclass(frozen=True)
class Grid:
    """Tiles of a picture. A cell is one latent position: `before` pixels of the input, `after` of the output."""

    tile: int
    """Side of a tile in cells."""
    overlap: int
    """Least number of cells that neighbours share."""
    before: int
    after: int

    def __post_init__(self) -> None:
        if self.tile < 1 or not 0 <= self.overlap <= self.tile // 2:
            raise ValueError(f"tile: expected 1 cell or more, an overlap of up to half of it, got {self.tile}, {self.overlap}")


def over_tiles(work: Work, x: Tensor, grid: Grid) -> Tensor:
    """Applies `work` to x `(..., h, w)` tile by tile; the result is on the CPU, in float32.

    Where tiles overlap, their weights are ramps that add up to one, so that no border is visible.
    """
    height, width = (side // grid.before for side in x.shape[-2:])
    out, total = None, torch.zeros(height * grid.after, width * grid.after)
    for top, left in product(starts(height, grid), starts(width, grid)):
        rows, columns = (slice(n * grid.before, (n + grid.tile) * grid.before) for n in (top, left))
        made = work(x[..., rows, columns], (rows.start, columns.start)).to("cpu", torch.float32)
        if out is None:
            out = torch.zeros(*made.shape[:-2], *total.shape)
        here = tuple(slice(n * grid.after, n * grid.after + side) for n, side in zip((top, left), made.shape[-2:], strict=True))
        weight = ramp(top, height, grid)[:, None] * ramp(left, width, grid)
        out[..., here[0], here[1]] += made * weight
        total[here] += weight
    assert out is not None, "a picture has one tile at least"
    return out / total


def starts(cells: int, grid: Grid) -> Iterator[int]:
    """First cell of each tile; the last tile is moved back to end with the picture."""
    last = max(0, cells - grid.tile)
    yield from range(0, last, grid.tile - grid.overlap)
    yield last


def ramp(start: int, cells: int, grid: Grid) -> Tensor:
    """Weight of each output row of a tile: rising over the overlap from a neighbour, falling towards the next one."""
    size, length = min(grid.tile, cells) * grid.after, grid.overlap * grid.after
    rise = torch.arange(1, size + 1) / (length + 1)
    fall = rise.flip(0)
    weight = torch.ones(size)
    if start > 0:
        weight = torch.minimum(weight, rise)
    if start + grid.tile < cells:
        weight = torch.minimum(weight, fall)
    return weight
