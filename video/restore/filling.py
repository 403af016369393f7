"""Filling of damaged pixels, from other frames and from the same one."""

import torch
from torch import Tensor

AGREE = 0.12
"""Largest difference of two frames that show the same thing."""
MEDIAN_SIDE = 5


def interpolated(picture: Tensor, mask: Tensor) -> Tensor:
    """A picture `(3, h, w)` with masked pixels interpolated along row and column, the shorter gap counting more."""
    across, width = _along_rows(picture, mask)
    down, height = _along_rows(picture.mT, mask.mT)
    weight = (height.mT**2) / (width**2 + height.mT**2)
    return torch.where(mask, weight * across + (1 - weight) * down.mT, picture)


def _along_rows(picture: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Masked pixels from the nearest undamaged ones to the left and right; and the gap's length `(h, w)`."""
    width = mask.shape[1]
    places = torch.arange(width).expand_as(mask)
    left = torch.where(mask, torch.full_like(places, -1), places).cummax(1).values
    right = torch.where(mask, torch.full_like(places, width), places).flip(1).cummin(1).values.flip(1)
    far = torch.full_like(places, 4 * width)
    to_left, to_right = torch.where(left < 0, far, places - left), torch.where(right >= width, far, right - places)
    share = to_right / (to_left + to_right).clamp_min(1)
    near = [torch.gather(picture, 2, one.clamp(0, width - 1).expand_as(picture)) for one in (left, right)]
    gap = torch.where((left < 0) | (right >= width), far, right - left).float()
    return share * near[0] + (1 - share) * near[1], gap


def between(now: Tensor, before: Tensor, after: Tensor, mask: Tensor) -> Tensor:
    """A frame with masked pixels from its moved neighbours: their mean where they agree, else a median with what is around."""
    rows, columns = mask.nonzero(as_tuple=True)
    if not len(rows):
        return now
    first, second = before[:, rows, columns], after[:, rows, columns]
    surroundings = _local_median(interpolated(now, mask), rows, columns)
    agree = (first - second).abs().amax(0) < AGREE
    middle = torch.stack([first, second, surroundings]).median(0).values
    filled = now.clone()
    filled[:, rows, columns] = torch.where(agree, (first + second) / 2, middle)
    return filled


def _local_median(picture: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Median of the square around some pixels, `(3, n)`."""
    height, width = picture.shape[1:]
    steps = torch.arange(MEDIAN_SIDE) - MEDIAN_SIDE // 2
    y = (rows[:, None] + steps).clamp(0, height - 1)
    x = (columns[:, None] + steps).clamp(0, width - 1)
    squares = picture[:, y[:, :, None], x[:, None, :]]  # (3, n, side, side)
    return squares.flatten(2).median(-1).values
