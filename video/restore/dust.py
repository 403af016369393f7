"""Dust: what differs from the frames before and after in the same direction, beyond their own range."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .detectors import srod
from .filling import between
from .masks import connected, grown, without_single_pixels
from .motion import compensated, moved, refined, visible
from .stream import FilmFrame, Scene, around, motion_between

SURE, POSSIBLE, EDGE = 0.2, 0.08, 0.02
"""Distances from the neighbours' range: of a speck's core, of the pixels connected to it, and of its soft edge."""
UNSURE = 0.5
"""Share of the difference between the two neighbours that is added to the core's threshold."""
ONE_SIDED = 2.5
"""Factor on the thresholds in a scene's first and last frame, whose two neighbours are on the same side."""
CONTINUED, FITS, THING = 3, 0.85, 15
"""Iterations that find where a pixel comes from whose motion is known at its destination; factor on the difference from the
neighbour below which a thing's own motion is better than that of the whole picture; side of the square where it is compared."""


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
        flows = _guesses(window, at, places)
        before, after = compensated(frame.picture, window[places[0]].picture, window[places[1]].picture, flows)
        mask = dust_mask(frame.picture, before, after, factor / sensitivity)
        yield Dusted(frame, mask & visible(flows[0]) & visible(flows[1]), before, after)


def _neighbours(window: Sequence[FilmFrame], at: int) -> tuple[tuple[int, int], float]:
    if at == 0:
        return (1, 2), ONE_SIDED
    if at == len(window) - 1:
        return (at - 1, at - 2), ONE_SIDED
    return (at - 1, at + 1), 1.0


def _guesses(window: Sequence[FilmFrame], at: int, places: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """First guesses of the flows to both neighbours, `(2, h, w)`: the motion of the whole picture.

    For neighbours on the same side, things that move on their own are assumed to continue as between those two. Else they would
    differ from both neighbours in the same direction, as dust does.
    """
    frame = window[at]
    near, far = (motion_between(window, at, place).flow(frame.size).float() for place in places)
    if (places[0] < at) != (places[1] < at):
        return near, far
    whole = motion_between(window, *places).flow(frame.size).float()
    local = refined(window[places[0]].picture, window[places[1]].picture, whole) - whole
    flow = near
    for _ in range(CONTINUED):
        flow = near + moved(local, flow)
    apart = [_around(frame.picture - moved(window[places[0]].picture, one)) for one in (near, flow)]
    change = (flow - near) * (apart[1] < FITS * apart[0])
    return near + change, far + 2 * change


def _around(difference: Tensor) -> Tensor:
    """Mean absolute difference in the square around each pixel, `(h, w)`: that of a thing rather than of dust on it."""
    return F.avg_pool2d(difference.abs().mean(0)[None, None], THING, 1, THING // 2, count_include_pad=False)[0, 0]


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
