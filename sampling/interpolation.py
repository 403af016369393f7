"""Frames in between: key frames stand `factor` frames apart, and a model that can be shown given frames fills in the others.

Masked conditioning as in Align Your Latents 3.2 (arXiv 2304.08818: T to 4T, applied twice) and LaVie's interpolation
(2309.15103, 3.3). A clip of any length goes in overlapping windows through `stream.euler_stream`; the noise of a frame is a
function of its number, so that windows agree, and key frames come out as they went in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .noise import FrameNoise
from .stream import Work, euler_stream
from .windowing import WindowSpec

Filler = Callable[[Tensor, float, Sequence[int], Mapping[int, Tensor]], Tensor]
"""(noisy frames `(f, c, h, w)`, noise level, their numbers, number -> given latent) -> clean frames."""


@dataclass(frozen=True)
class InterpolationSpec:
    """How a clip is filled in."""

    factor: int
    """Frames from one key to the next: each becomes so many."""
    clip: int
    """Frames that the model sees at once at most."""
    shared: int = 1
    """Steps from key to key that neighbouring windows have in common, where a window has three or more."""
    ends: bool = False
    """Whether the model knows given first and last frames only, so that a window goes from one key to the next."""

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise ValueError(f"factor: expected 2 or more, got {self.factor}; with 1 there is nothing in between")
        if self.factor >= self.clip:
            raise ValueError(
                f"factor: expected at most {self.clip - 1}, because the model sees {self.clip} frames at once, got "
                f"{self.factor}. Use a smaller factor twice, one after the other."
            )

    @property
    def steps(self) -> int:
        """Of a window, from key to key."""
        return 1 if self.ends else (self.clip - 1) // self.factor

    @property
    def cut(self) -> WindowSpec:
        shared = min(self.shared, (self.steps - 1) // 2)
        return WindowSpec(self.steps * self.factor + 1, shared * self.factor + 1)

    def frames(self, keys: int) -> int:
        """Frames of a clip of so many keys."""
        return (keys - 1) * self.factor + 1 if keys else 0


def fill(
    filler: Filler, keys: Iterable[Tensor], plan: InterpolationSpec, sigmas: Tensor, noise: FrameNoise, first: int = 0
) -> Iterator[Tensor]:
    """Key latents `(c, h, w)`, one at a time, to all frames, one at a time.

    first   number of the first frame in the shot that this is a part of: its noise is that frame's
    """
    channels = noise.shape[0]
    frames = _laid_out(keys, plan.factor, float(sigmas[0]), noise, first)
    for frame in euler_stream(_keeping(filler, channels, first), frames, sigmas, plan.cut):
        given = bool(frame[-1, 0, 0] > 0)
        yield frame[channels : 2 * channels] if given else frame[:channels]  # to the bit


def _laid_out(keys: Iterable[Tensor], factor: int, sigma: float, noise: FrameNoise, first: int) -> Iterator[Tensor]:
    """Per frame `(2 c + 1, h, w)`: noise, what is given, and whether it is. Keys have noise too, for models that make them."""
    number = first
    for index, key in enumerate(keys):
        for step in range(factor if index else 1):
            given = index == 0 or step == factor - 1
            start = noise.at(number, 0).to(key) * sigma
            told = key if given else torch.zeros_like(key)
            yield torch.cat([start + told, told, torch.full_like(key[:1], float(given))])
            number += 1


def _keeping(filler: Filler, channels: int, first: int) -> Work:
    """Whatever the model makes of given frames, they stay."""

    def work(window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        x, told, given = window[:, :channels], window[:, channels : 2 * channels], window[:, -1, 0, 0] > 0
        absolute = [first + number for number in numbers]
        known = {number: latent for number, latent, is_given in zip(absolute, told, given.tolist(), strict=True) if is_given}
        clean = filler(x, sigma, absolute, known)
        return torch.where(given[:, None, None, None].to(clean.device), told.to(clean), clean).to(window)

    return work


def takes(frames: Iterable[Tensor], cut: Callable[[Tensor, Tensor], bool]) -> Iterator[Iterator[Tensor]]:
    """A clip in parts that have no cut inside; each part is to be used up before the next is asked for.

    cut   (frame, the one after it) -> whether another scene begins
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
        for _ in current:  # whatever was left of it
            pass
        ahead = waiting[0] if waiting else None
