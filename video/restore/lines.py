"""Scratches: thin near-vertical lines that stay where they are on the screen, while the scene moves behind them.

A line has to stand out in the frame itself, and in its difference from the frames around, moved along with the scene: there,
what is vertical in the scene disappears. A scratch stays, because the scene moves behind it, or because it wanders.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..frames.registration import Motion
from .detectors import shifted_columns
from .masks import closed, grown, long_lines
from .motion import moved, visible
from .stream import REACH, FilmFrame, around, motion_between

WIDTH = 480
"""Width to which larger pictures are reduced for the search."""
ROWS, FLOOR, UNITS = 31, 6 / 255, 5.0
"""Rows that are averaged, least brightness of a line, and least brightness in units of the noise."""
STEPS, LEAST_VIEWS = (-8, -6, -4, -2, 2, 4, 6, 8), 2
"""Frames that a frame is compared with, relative to it; least number of them that show the place."""
KEPT, KEPT_UNITS = 0.3, 3.0
"""Least share of a line in the difference, and least brightness there in units of the noise."""
NEAR, NEAR_SHARE = 4, 0.5
"""Frames around in which a line has to be found too, and their share."""
SHORTEST, GAP = 35, 7
"""Least length in rows of a picture 192 high; half the length of gaps that are closed."""
EDGE, EDGE_ROWS = 0.02, 5
"""Contrast of a line's sides, averaged over a few rows."""


@dataclass(frozen=True)
class Evidence:
    """Signs of lines in one frame, at the size of the search, int8 `(h, w)`: 1 bright, -1 dark."""

    frame: FilmFrame
    signs: Tensor


def evidence_of(scene: Iterable[FilmFrame], sensitivity: float) -> Iterator[Evidence]:
    for window, at in around(scene, REACH, REACH):
        yield _evidence(window, at, sensitivity)


def _evidence(window: Sequence[FilmFrame], at: int, sensitivity: float) -> Evidence:
    frame = window[at]
    here = small(frame)
    height, units = ridges(here)
    kept, kept_units = ridges(_against_the_scene(window, at, here))
    signs = height.sign() * ((units.abs() > UNITS / sensitivity) & (height.abs() > FLOOR / sensitivity))
    stays = (kept * height > 0) & (kept.abs() > KEPT * height.abs()) & (kept_units.abs() > KEPT_UNITS / sensitivity)
    return Evidence(frame, (signs * stays).to(torch.int8))


def _against_the_scene(window: Sequence[FilmFrame], at: int, here: Tensor) -> Tensor:
    """The frame less the median of others moved to it, where enough of those show the place, else 0; `(h, w)`."""
    views: list[Tensor] = []
    for step in STEPS:
        if 0 <= at + step < len(window):
            motion = motion_between(window, at, at + step)
            shrunk = Motion(motion.shift / factor_of(window[at]), motion.slope)
            flow = shrunk.flow((here.shape[0], here.shape[1])).float()
            view = moved(small(window[at + step])[None], flow)[0]
            views.append(torch.where(visible(flow), view, torch.nan))
    if len(views) < LEAST_VIEWS:
        return torch.zeros_like(here)
    stack = torch.stack(views)
    seen = (~stack.isnan()).sum(0) >= LEAST_VIEWS
    return torch.where(seen, here - stack.nanmedian(0).values, 0.0)


def ridges(picture: Tensor) -> tuple[Tensor, Tensor]:
    """How much thin columns stand out from both sides, and the same in units of the local noise, `(h, w)` each."""
    smooth = averaged(picture, ROWS)
    around = torch.stack(shifted_columns(smooth, range(-4, 5)))
    noise = (smooth - around.median(0).values).abs()
    noise = averaged(torch.stack(shifted_columns(noise, range(-20, 21, 2))).median(0).values, ROWS)
    sides = [smooth - torch.stack(shifted_columns(smooth, [side * n for n in (3, 4, 5)])).mean(0) for side in (1, -1)]
    both = torch.where(sides[0] * sides[1] > 0, torch.minimum(sides[0].abs(), sides[1].abs()) * sides[0].sign(), 0.0)
    return both, both / (1.4826 * noise + 1e-4)


def lines_of(scene: Iterable[FilmFrame], sensitivity: float) -> Iterator[tuple[Sequence[FilmFrame], int, Tensor]]:
    """Finds the scratches of each frame. Yields its window, its place there and its mask `(h, w)` bool."""
    for window, at in around(evidence_of(scene, sensitivity), NEAR, NEAR):
        frame = window[at].frame
        found = _persistent(window, at)
        yield (
            [one.frame for one in window],
            at,
            at_full_size(found, frame) if bool(found.any()) else torch.zeros(frame.size) > 0,
        )


def _persistent(window: Sequence[Evidence], at: int) -> Tensor:
    """Lines of a frame that are also in the frames around, at most one pixel away, and long enough; `(h, w)` bool."""
    here, others = window[at].signs, [one.signs for n, one in enumerate(window) if n != at]
    shortest = max(8, round(here.shape[0] * SHORTEST / 192))
    bright, dark = (_long(_repeated(here, others, sign, NEAR_SHARE), shortest) for sign in (1, -1))
    return bright | dark


def _repeated(here: Tensor, others: list[Tensor], sign: int, share: float) -> Tensor:
    if not others or not bool((here == sign).any()):
        return torch.zeros_like(here, dtype=torch.bool)
    counts = torch.stack([grown(other == sign, 0, 1) for other in others]).sum(0)
    return (here == sign) & (counts >= share * len(others))


def _long(mask: Tensor, least: int) -> Tensor:
    if not bool(mask.any()):
        return mask
    return long_lines(grown(closed(mask, GAP), 0, 1), least) & grown(mask, GAP, 0)


def at_full_size(found: Tensor, frame: FilmFrame) -> Tensor:
    """A mask at the size of the frame, with the soft sides of its lines."""
    factor, grey = factor_of(frame), frame.picture.mean(0)
    core = F.interpolate(found[None, None].float(), frame.size, mode="nearest")[0, 0] > 0
    smooth = averaged(grey, EDGE_ROWS * factor // 2 * 2 + 1)
    ground = torch.stack(shifted_columns(smooth, [factor * n for n in (-5, -4, 4, 5)])).mean(0)
    return core | (grown(core, 0, factor) & ((smooth - ground).abs() > EDGE))


def factor_of(frame: FilmFrame) -> int:
    return max(1, frame.size[1] // WIDTH)


def small(frame: FilmFrame) -> Tensor:
    """A frame in grey, at the size of the search `(h, w)`."""
    return F.avg_pool2d(frame.picture.mean(0)[None, None], factor_of(frame))[0, 0]


def averaged(picture: Tensor, rows: int) -> Tensor:
    """A picture `(h, w)` averaged over an odd number of rows; edges are repeated."""
    padded = F.pad(picture[None, None], (0, 0, rows // 2, rows // 2), mode="replicate")
    return F.avg_pool2d(padded, (rows, 1), 1)[0, 0]
