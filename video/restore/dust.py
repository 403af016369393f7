"""Dust: what differs from the frames before and after in the same direction, beyond their own range."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .detectors import srod
from .filling import between
from .masks import connected, grown, without_single_pixels
from .motion import compensated, visible
from .stream import FilmFrame, Scene, around, motion_between

SURE, POSSIBLE, EDGE = 0.2, 0.08, 0.02
"""Distances from the neighbours' range: of a speck's core, of the pixels connected to it, and of its soft edge."""
UNSURE = 0.5
"""Share of the difference between the two neighbours that is added to the core's threshold."""
ONE_SIDED = 2.5
"""Factor on the thresholds in a scene's first and last frame, whose two neighbours are on the same side."""


@dataclass(frozen=True)
class Dusted:
    """Dust of a frame, and the neighbours that it can be filled from."""

    frame: FilmFrame
    mask: Tensor
    """`(h, w)` bool."""
    before: Tensor
    after: Tensor


def dust_of(scene: Iterable[FilmFrame], sensitivity: float) -> "Iterable[Dusted]":
    """Finds the dust of each frame. A scene of one or two frames has none that could be told from its content.

    sensitivity   1 as tuned; higher finds fainter dust, and more that is none
    """
    for window, at in around(scene, 2, 2):
        frame = window[at]
        if len(window) < 3:
            nothing = torch.zeros(frame.size, dtype=torch.bool)
            yield Dusted(frame, nothing, frame.picture, frame.picture)
            continue
        places, factor = _neighbours(window, at)
        flows = tuple(motion_between(window, at, place).flow(frame.size).float() for place in places)
        before, after = compensated(frame.picture, *(window[place].picture for place in places), flows)  # type: ignore[arg-type]
        mask = dust_mask(frame.picture, before, after, factor / sensitivity)
        yield Dusted(frame, mask & visible(flows[0]) & visible(flows[1]), before, after)


def _neighbours(window: Sequence[FilmFrame], at: int) -> tuple[tuple[int, int], float]:
    if at == 0:
        return (1, 2), ONE_SIDED
    if at == len(window) - 1:
        return (at - 1, at - 2), ONE_SIDED
    return (at - 1, at + 1), 1.0


def dust_mask(now: Tensor, before: Tensor, after: Tensor, factor: float = 1.0) -> Tensor:
    """Pixels of dust in a frame with moved neighbours, `(h, w)` bool. factor: on all thresholds."""
    distance = srod(now, before, after).amax(0)
    apart = (before - after).abs().amax(0)
    core = without_single_pixels(distance - UNSURE * apart > SURE * factor)
    if not bool(core.any()):
        return core
    whole = connected(core, distance > POSSIBLE * factor)
    edge = torch.minimum((now - before).abs().amax(0), (now - after).abs().amax(0)) > EDGE * factor
    return whole | (grown(whole, 1, 1) & edge)


def dust_filled(scene: Iterable[FilmFrame], strength: float, sensitivity: float, most: float, left: list[int]) -> Scene:
    """Fills dust. strength: share of the filled picture where it is. Frames with a larger share of dust than `most` are not
    changed, and their numbers are added to `left`: they are flashes or splices."""
    for one in dust_of(scene, sensitivity):
        if float(one.mask.float().mean()) > most:
            left.append(one.frame.number)
            yield one.frame
            continue
        filled = between(one.frame.picture, one.before, one.after, grown(one.mask, 1, 1) if one.mask.any() else one.mask)
        yield one.frame.with_repair(one.frame.picture.lerp(filled, strength), one.mask)
