"""Filling of scratches: with what frames around have there along the flow, where those are undamaged; else along the row."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .filling import interpolated
from .lines import lines_of
from .motion import moved, refined, visible
from .stream import FilmFrame, Scene, around, motion_between

VIEWS, DIFFERENT, UNDAMAGED = (-3, 3), 0.25, 0.05
"""Frames that are read, relative to the frame; difference from the row above which they are wrong; share of damage in a pixel
that counts as undamaged."""
PAINTED_VIEWS, PAINTED = (-3, -1, 1, 3), 0.5
"""The same for masks from outside, and the value above which they mark damage."""
KEPT = 3
"""Frames whose masks are kept, before and after."""


@dataclass(frozen=True)
class Lined:
    """A frame with the mask of its scratches."""

    frame: FilmFrame
    mask: Tensor
    """`(h, w)` bool."""
    row: Tensor
    """The picture with scratches interpolated along rows, `(3, h, w)`."""


def lines_filled(scene: Iterable[FilmFrame], strength: float, sensitivity: float, most: float, left: list[int]) -> Scene:
    """Fills scratches. strength: share of the filled picture where they are. Frames with a larger share of scratches than
    `most` are not changed, and their numbers are added to `left`."""
    for window, at in around(_lined(scene, sensitivity, most, left), KEPT, KEPT):
        frame, mask = window[at].frame, window[at].mask
        if not bool(mask.any()):
            yield frame
            continue
        filled = torch.where(mask, _from_around(window, at, VIEWS, DIFFERENT), frame.picture)
        yield frame.with_repair(frame.picture.lerp(filled, strength), mask)


def _lined(scene: Iterable[FilmFrame], sensitivity: float, most: float, left: list[int]) -> Iterator[Lined]:
    for window, at, mask in lines_of(scene, sensitivity):
        if float(mask.float().mean()) > most:
            left.append(window[at].number)
            mask = torch.zeros_like(mask)
        yield Lined(window[at], mask, interpolated(window[at].picture, mask))


def painted_filled(scene: Iterable[FilmFrame], strength: float) -> Scene:
    """Fills what masks from outside mark, of any kind."""
    for window, at in around(_painted(scene), KEPT, KEPT):
        frame, mask = window[at].frame, window[at].mask
        if bool(mask.any()):
            filled = torch.where(mask, _from_around(window, at, PAINTED_VIEWS, 1.0), frame.picture)
            frame = frame.with_repair(frame.picture.lerp(filled, strength), mask)
        yield frame


def _painted(scene: Iterable[FilmFrame]) -> Iterator[Lined]:
    for frame in scene:
        assert frame.painted is not None
        mask = frame.painted > PAINTED
        yield Lined(frame, mask, interpolated(frame.picture, mask))


def _from_around(window: Sequence[Lined], at: int, steps: tuple[int, ...], different: float) -> Tensor:
    """The picture that the frames around have in place of the damage, `(3, h, w)`; where there is none, or it differs by more
    than `different` from the interpolated one, the latter."""
    here = window[at]
    total, weights = torch.zeros_like(here.row), torch.zeros(here.frame.size)
    frames = [one.frame for one in window]
    for place in sorted({min(max(at + step, 0), len(window) - 1) for step in steps} - {at}):
        flow = motion_between(frames, at, place).flow(here.frame.size).float()
        flow = refined(here.row, window[place].row, flow)
        undamaged = moved(window[place].mask[None].float(), flow)[0] < UNDAMAGED
        weight = (undamaged & visible(flow)).float()
        total, weights = total + weight * moved(window[place].frame.picture, flow), weights + weight
    found = torch.where(weights > 0, total / weights.clamp_min(1), here.row)
    return torch.where((found - here.row).abs().amax(0) > different, here.row, found)
