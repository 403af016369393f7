"""Restoration of a film in a stream: weave, flicker, lines, dust. Detection alone, for masks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from itertools import chain

import torch
from torch import Tensor

from .dust import dust_filled, dust_of
from .flicker import evened
from .interlacing import checked_for_interlacing
from .lines import lines_of
from .lines_filling import PAINTED, lines_filled, painted_filled
from .stream import FilmFrame, Scene, registered, scenes
from .weave import steadied

SMALLEST = 16
"""Least side of a picture in pixels."""
HOPELESS = 0.95
"""Share of a frame that is damaged, from which nothing is left to fill it from."""


@dataclass(frozen=True)
class RestoreSettings:
    """Strength of each step in [0, 1]; a step of strength 0 does not change a bit."""

    weave: float = 1.0
    flicker: float = 1.0
    lines: float = 1.0
    dust: float = 1.0
    sensitivity: float = 1.0
    """Of the detectors of lines and dust: 1 as tuned, 2 finds half the contrast."""
    most: float = 0.1
    """Share of a frame above which detected damage is a flash or a splice, and is not filled."""
    scene_cut: float = 0.3
    """Colour difference that counts as a cut; 0: no cut detection."""

    def __post_init__(self) -> None:
        limits = {"sensitivity": (0.25, 4.0)}
        for one in fields(self):
            low, high = limits.get(one.name, (0.0, 1.0))
            if not low <= getattr(self, one.name) <= high:
                raise ValueError(f"{one.name}: expected {low:g} to {high:g}, got {getattr(self, one.name):g}")


@dataclass
class Found:
    """What a restoration has found."""

    frames: int = 0
    filled: float = 0.0
    """Sum of the shares of all frames that were filled."""
    left: list[int] = field(default_factory=list)
    """Numbers of the frames with more damage than `most`, which were not filled."""

    def __str__(self) -> str:
        share = f"{self.filled / max(1, self.frames):.2%} of the pixels repaired"
        if not self.left:
            return share
        numbers = sorted(set(self.left))
        listed = ", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")
        return f"{share}; too much damage for dust and lines in frames {listed}, which are not repaired there"


def restored(
    frames: Iterable[Tensor], settings: RestoreSettings, masks: Iterable[Tensor] | None = None, found: Found | None = None
) -> Iterator[Tensor]:
    """Restores frames `(3 or 4, h, w)` in [0, 1], one at a time, while at most a few dozen are in memory.

    masks   damage masks `(h, w)` in [0, 1], one per frame, to fill in place of what the detectors find; one for all frames
    Raises ValueError for fewer than three frames, interlaced ones, masks of another number or size, and where every frame is
    damaged beyond repair.
    """
    found = Found() if found is None else found
    if not any((settings.weave, settings.flicker, settings.lines, settings.dust)):
        yield from (frame[:3] for frame in frames)
        return
    for frame in chain.from_iterable(
        _scene(scene, settings, masks is not None, found) for scene in scenes(film_frames(frames, masks), settings.scene_cut)
    ):
        found.frames += 1
        found.filled += float(frame.repaired.float().mean()) if frame.repaired is not None else 0.0
        yield frame.picture
    if len(set(found.left)) >= max(2, found.frames - 2):  # first and last frame have neighbours on one side only
        raise ValueError(
            f"all {found.frames} frames look damaged in more than {settings.most:.0%} of their pixels, so there is nothing to "
            "repair them from. Lower sensitivity, or connect a mask of the damage"
        )


def _scene(scene: Iterable[FilmFrame], settings: RestoreSettings, painted: bool, found: Found) -> Scene:
    steps = registered(scene)
    if settings.weave:
        steps = steadied(steps, settings.weave)
    if settings.flicker:
        steps = evened(steps, settings.flicker)
    if painted:
        return painted_filled(steps, max(settings.lines, settings.dust))
    if settings.lines:
        steps = lines_filled(steps, settings.lines, settings.sensitivity, settings.most, found.left)
    if settings.dust:
        steps = dust_filled(steps, settings.dust, settings.sensitivity, settings.most, found.left)
    return steps


def painted_over(
    frames: Iterable[Tensor], masks: Iterable[Tensor], scene_cut: float
) -> Iterator[Iterator[tuple[Tensor, Tensor]]]:
    """The scenes of a film, each as pairs of a frame `(3, h, w)` with its damage filled from the frames around, and the damage
    `(h, w)` bool. Each scene is to be read before the next one. Arguments and errors as of `restored`.
    """
    for scene in scenes(film_frames(frames, masks), scene_cut):
        yield (
            (one.picture, one.painted > PAINTED) for one in painted_filled(registered(scene), 1.0) if one.painted is not None
        )


@dataclass(frozen=True)
class Damage:
    """Detected damage of one frame, `(h, w)` bool each."""

    source: Tensor
    """The frame `(3, h, w)`."""
    dust: Tensor
    lines: Tensor

    @property
    def mask(self) -> Tensor:
        return self.dust | self.lines


def detected(frames: Iterable[Tensor], dust: bool, lines: bool, settings: RestoreSettings) -> Iterator[Damage]:
    """Finds dust and lines of frames `(3 or 4, h, w)` in [0, 1], one at a time."""
    for scene in scenes(film_frames(frames, None), settings.scene_cut):
        yield from _detected(registered(scene), dust, lines, settings)


def _detected(scene: Scene, dust: bool, lines: bool, settings: RestoreSettings) -> Iterator[Damage]:
    """Dust is searched in frames without flicker, whose changes would count as dust, and lines in the frames as they are."""
    kept: dict[int, tuple[Tensor, Tensor]] = {}  # frame number -> frame and mask of its lines

    def lined() -> Scene:
        for window, at, mask in lines_of(scene, settings.sensitivity):
            kept[window[at].number] = window[at].picture, mask
            yield window[at]

    def plain() -> Scene:
        for frame in scene:
            kept[frame.number] = frame.picture, _nothing(frame)
            yield frame

    steps = lined() if lines else plain()
    if not dust:
        for frame in steps:
            source, mask = kept.pop(frame.number)
            yield Damage(source, _nothing(frame), mask)
        return
    for one in dust_of(evened(steps, 1.0), settings.sensitivity):
        mask = one.mask if float(one.mask.float().mean()) <= settings.most else one.mask & False
        source, of_lines = kept.pop(one.frame.number)
        yield Damage(source, mask, of_lines)


def _nothing(frame: FilmFrame) -> Tensor:
    return torch.zeros(frame.size, dtype=torch.bool)


def film_frames(frames: Iterable[Tensor], masks: Iterable[Tensor] | None) -> Iterator[FilmFrame]:
    """Numbers the frames and pairs them with masks. Raises ValueError for what cannot be restored."""
    others = None if masks is None else _endless(masks)
    number = -1
    for number, frame in enumerate(checked_for_interlacing(frame[:3].float() for frame in frames)):
        height, width = frame.shape[1:]
        if min(height, width) < SMALLEST:
            raise ValueError(f"frames: expected {SMALLEST}x{SMALLEST} pixels or more, got {width}x{height}")
        yield FilmFrame(number, frame, _fitting(others, number, (height, width)))
    if number < 2:
        raise ValueError(f"a film needs 3 frames or more, got {number + 1}: damage is found by comparing neighbouring frames")
    if others is not None and not isinstance(others, _Repeated) and next(others, None) is not None:
        raise ValueError(f"mask: expected one mask, or one per frame ({number + 1}), got more")


def _endless(masks: Iterable[Tensor]) -> Iterator[Tensor]:
    """Masks; a single one is repeated."""
    rest = iter(masks)
    first, second = next(rest, None), next(rest, None)
    if first is None:
        raise ValueError("mask: expected one mask or one per frame, got none")
    return _Repeated(first) if second is None else chain([first, second], rest)


class _Repeated(Iterator[Tensor]):
    """One mask, as often as it is needed."""

    def __init__(self, mask: Tensor):
        self.mask = mask

    def __next__(self) -> Tensor:
        return self.mask


def _fitting(masks: Iterator[Tensor] | None, number: int, size: tuple[int, int]) -> Tensor | None:
    if masks is None:
        return None
    mask = next(masks, None)
    if mask is None:
        raise ValueError(f"mask: expected one mask, or one per frame, got {number}; the video has more frames")
    if tuple(mask.shape) != size:
        raise ValueError(f"mask: expected {size[1]}x{size[0]} pixels as in the video, got {mask.shape[1]}x{mask.shape[0]}")
    if float((mask > 0.5).float().mean()) > HOPELESS:
        raise ValueError(f"mask: frame {number} is all damage; there is nothing left to repair it from")
    return mask.float()
