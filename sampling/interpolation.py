"""Frame interpolation: key frames are `factor` frames apart, and a model that takes given frames generates those between.

Masked conditioning as in Align Your Latents 3.2 (arXiv 2304.08818: T to 4T, applied twice) and LaVie's interpolation
(2309.15103, 3.3). A clip of any length is sampled in overlapping windows by `stream.EulerSteps`; the noise of a frame is a
function of its number, so that windows agree, and key frames stay unchanged.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

import torch
from torch import Tensor

from .noise import FrameNoise
from .stream import EulerSteps
from .windowing import WindowSpec

Filler = Callable[[Tensor, float, Sequence[int], Mapping[int, Tensor]], Tensor]
"""(noisy frames `(f, c, h, w)`, noise level, their numbers, number -> given latent) -> clean frames."""


@dataclass(frozen=True)
class InterpolationSpec:
    """Factor and windows of an interpolation."""

    factor: int
    """Frames from one key to the next."""
    clip: int
    """Frames per window at most."""
    shared: int = 1
    """Steps from key to key that neighbouring windows have in common, where a window has three or more."""
    ends: bool = False
    """Whether the model takes given first and last frames only; a window then spans one step from key to key."""

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"factor: expected 2 or more, got {self.factor}; with 1 there is no frame in between")
        if self.factor >= self.clip:
            raise ValueError(
                f"factor: expected at most {self.clip - 1}, because a window has {self.clip} frames, got "
                f"{self.factor}. Use a smaller factor twice, one after the other."
            )

    @property
    def steps(self) -> int:
        """Steps from key to key in a window."""
        return 1 if self.ends else (self.clip - 1) // self.factor

    @property
    def cut(self) -> WindowSpec:
        shared = min(self.shared, (self.steps - 1) // 2)
        return WindowSpec(self.steps * self.factor + 1, shared * self.factor + 1)

    def frames(self, keys: int) -> int:
        """Number of frames of a clip with `keys` keys."""
        return (keys - 1) * self.factor + 1 if keys else 0


def fill(
    filler: Filler, keys: Iterable[Tensor], plan: InterpolationSpec, sigmas: Tensor, noise: FrameNoise, first: int = 0
) -> Iterator[Tensor]:
    """Yields the latents of all frames, one at a time, from key latents `(c, h, w)`, one at a time, as `Filling`."""
    filling = Filling(filler, plan, sigmas, noise, first)
    for key in keys:
        yield from filling.push(key)
    for finished in filling.finish():
        yield from finished


class Filling:
    """An interpolation: key latents `(c, h, w)` in, the latents of all frames out, with a state that can be stored.

    first   number of the first frame in the shot that the clip is a part of, for its noise
    """

    def __init__(self, filler: Filler, plan: InterpolationSpec, sigmas: Tensor, noise: FrameNoise, first: int = 0):
        self._filler, self._plan, self._noise, self._first = filler, plan, noise, first
        self._sigma, self._steps = float(sigmas[0]), EulerSteps(self._work, sigmas, plan.cut)
        self._keys: dict[int, Tensor] = {}
        """Key latents that windows may still contain, by their number in the clip."""
        self.entered = self._left = 0
        """Numbers of keys that have entered, and of frames that have left."""

    @property
    def calls(self) -> int:
        return self._steps.calls

    @property
    def lanes(self) -> int:
        return self._steps.lanes

    @property
    def done(self) -> bool:
        """Whether all frames have left."""
        return self._steps.done

    @property
    def places(self) -> int:
        """Number of latents in a stored state."""
        return self._steps.places + self._key_room

    @property
    def _key_room(self) -> int:
        """Largest number of keys in the lanes: each has less than a window that the next one does not have."""
        return (self._steps.lanes + 1) * self._plan.cut.size // self._plan.factor + 2

    def push(self, key: Tensor) -> list[Tensor]:
        """The latents that are finished after this key has entered. Keys are noised too, as models expect."""
        number, finished = max(0, self._plan.frames(self.entered + 1) - 1), list[Tensor]()
        self._keys[number] = key
        for between in range(self._plan.frames(self.entered), number):
            finished += self._steps.push(self._noisy(between, torch.zeros_like(key)))
        finished += self._steps.push(self._noisy(number, key))
        self.entered += 1
        return self._with_keys(finished)

    def finish(self) -> Iterator[list[Tensor]]:
        """The remaining latents, lane by lane; the state may be stored between two of them."""
        for finished in self._steps.finish():
            yield self._with_keys(finished)

    def state(self, shape: Sequence[int]) -> tuple[Tensor, tuple[int, ...]]:
        """Latents in the lanes and their keys `(places, c, h, w)`, and counters. shape: c h w."""
        frames, counters = self._steps.state(shape)
        keys = torch.zeros(self._key_room, *shape)
        for place, key in zip(keys, self._keys.values(), strict=False):
            place.copy_(key)
        first = next(iter(self._keys), 0)
        return torch.cat([frames, keys]), (self.entered, self._left, first, len(self._keys), *counters)

    def restore(self, latents: Tensor, counters: Sequence[int]) -> None:
        """Continues from a stored state."""
        self.entered, self._left, first, keys = counters[:4]
        frames, stored = latents[: self._steps.places], latents[self._steps.places :]
        self._keys = {first + n * self._plan.factor: key for n, key in enumerate(stored[:keys])}
        self._steps.restore(frames, counters[4:])

    def _noisy(self, number: int, known: Tensor) -> Tensor:
        return self._noise.at(self._first + number, 0).to(known) * self._sigma + known

    def _with_keys(self, frames: list[Tensor]) -> list[Tensor]:
        """Finished frames, with the keys among them as they were given, bit for bit."""
        finished = [self._keys.get(number, frame) for number, frame in enumerate(frames, self._left)]
        self._left += len(frames)
        for old in [number for number in self._keys if number < min(self._left, self._steps.oldest)]:
            del self._keys[old]
        return finished

    def _work(self, window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        """As the filler, with keys in its output unchanged."""
        known = {self._first + number: self._keys[number] for number in numbers if number in self._keys}
        absolute = [self._first + number for number in numbers]
        clean = self._filler(window, sigma, absolute, known)
        return torch.stack([known.get(number, row).to(clean) for number, row in zip(absolute, clean, strict=True)]).to(window)


class Closed:
    """Keys of a closed loop: after the last one the first ones again, so that windows span the seam. To be iterated once.

    again   how many keys are repeated; they are held in memory
    count   number of keys, once the source has ended; None before
    """

    def __init__(self, keys: Iterable[Tensor], again: int):
        self._keys, self._again = keys, again
        self.count: int | None = None

    def __iter__(self) -> Iterator[Tensor]:
        first, count = list[Tensor](), 0
        for count, key in enumerate(self._keys, 1):  # noqa: B007  the last number is used
            first += [key] if len(first) < self._again else []
            yield key
        self.count = count
        yield from islice(cycle(first), self._again)


def takes(frames: Iterable[Tensor], cut: Callable[[Tensor, Tensor], bool]) -> Iterator[Iterator[Tensor]]:
    """Splits a clip at cuts into takes. Use up each take before the next one: what is left of it is skipped.

    cut   (frame, next frame) -> whether a new scene begins
    """
    source = iter(frames)
    ahead = next(source, None)
    while ahead is not None:
        waiting: list[Tensor] = []

        def part(now: Tensor = ahead, waiting: list[Tensor] = waiting) -> Iterator[Tensor]:
            yield now
            for after in source:
                if cut(now, after):
                    waiting.append(after)
                    return
                yield after
                now = after

        current = part()
        yield current
        for _ in current:  # the unused part
            pass
        ahead = waiting[0] if waiting else None
