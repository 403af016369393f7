"""Detectors of film damage from three frames, and of vertical lines in one. Grey pictures `(..., h, w)` in [0, 1].

SDI: Kokaram, Motion Picture Restoration, 1998. ROD: Nadenau and Mitra, 1996. sROD: van Roosmalen, 1999. Lines: Newson et al.,
2014 (hal-00927007). The frames before and after are to be motion-compensated by the caller.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

RATIO_FLOOR = 0.04
"""Least sum of both differences for `sdi_ratio`."""
LINE_CONTRAST, SIDE_CONTRAST = 3 / 255, 20 / 255


def sdi(now: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Spike detection index (SDIa): the smaller difference from the two neighbours."""
    return torch.minimum((now - before).abs(), (now - after).abs())


def sdi_same_sign(now: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """SDIp: as `sdi`, where both differences have the same sign, else 0."""
    back, ahead = now - before, now - after
    return torch.where(back * ahead > 0, torch.minimum(back.abs(), ahead.abs()), torch.zeros_like(now))


def sdi_ratio(now: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Similarity of both differences in [0, 1]; 0 where they are small."""
    back, ahead = (now - before).abs(), (now - after).abs()
    total = back + ahead
    return torch.where(total > RATIO_FLOOR, 1 - (back - ahead).abs() / total.clamp_min(1e-9), torch.zeros_like(now))


def ranked(before: Tensor, after: Tensor) -> Tensor:
    """The six neighbours of each pixel, above, at and below it in both frames, sorted `(6, ..., h, w)`."""
    rows = [row for frame in (before, after) for row in _above_at_below(frame)]
    return torch.stack(rows).sort(0).values


def rod(now: Tensor, before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rank order differences 1 to 3: distances from the three outer of the ranked neighbours on the pixel's side."""
    ranks = ranked(before, after)
    middle = (ranks[2] + ranks[3]) / 2
    first, second, third = (torch.where(now <= middle, ranks[n] - now, now - ranks[5 - n]) for n in range(3))
    return first, second, third


def rod_mask(differences: tuple[Tensor, Tensor, Tensor], thresholds: tuple[float, float, float]) -> Tensor:
    """Pixels of which one rank order difference is above its threshold, bool."""
    over = [difference > threshold for difference, threshold in zip(differences, thresholds, strict=True)]
    return over[0] | over[1] | over[2]


def srod(now: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Simplified ROD: distance from the range of the six neighbours; 0 inside."""
    rows = torch.stack([row for frame in (before, after) for row in _above_at_below(frame)])
    return torch.maximum(rows.amin(0) - now, now - rows.amax(0)).clamp_min(0)


def temporal_median(before: Tensor, now: Tensor, after: Tensor) -> Tensor:
    return torch.maximum(torch.minimum(before, now), torch.minimum(torch.maximum(before, now), after))


def line_difference(picture: Tensor) -> Tensor:
    """A picture, smoothed down its columns, less its median over 5 columns."""
    above, at, below = _above_at_below(picture)
    smooth = (above + 2 * at + below) / 4
    return smooth - torch.stack(shifted_columns(smooth, range(-2, 3))).median(0).values


def line_indicator(picture: Tensor) -> Tensor:
    """Sign of a thin vertical line at each pixel, else 0: it stands out, and the picture is similar on both sides."""
    above, at, below = _above_at_below(picture)
    smooth, difference = (above + 2 * at + below) / 4, line_difference(picture)
    left, right = (torch.stack(shifted_columns(smooth, [side * n for n in (2, 3, 4)])).mean(0) for side in (-1, 1))
    found = (difference.abs() >= LINE_CONTRAST) & ((left - right).abs() <= SIDE_CONTRAST)
    return torch.where(found, difference.sign(), torch.zeros_like(difference))


def _above_at_below(picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    above = torch.cat([picture[..., :1, :], picture[..., :-1, :]], -2)
    below = torch.cat([picture[..., 1:, :], picture[..., -1:, :]], -2)
    return above, picture, below


def shifted_columns(picture: Tensor, steps: "range | list[int]") -> list[Tensor]:
    """The picture's columns to the right by each number of steps; edges are repeated."""
    width, most = picture.shape[-1], max(abs(step) for step in steps)
    flat = F.pad(picture.reshape(-1, 1, picture.shape[-2], width), (most, most, 0, 0), mode="replicate")
    wide = flat.reshape(*picture.shape[:-1], width + 2 * most)
    return [wide[..., most + step : most + step + width] for step in steps]
