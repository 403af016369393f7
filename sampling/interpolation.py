"""Frame interpolation: key frames are `factor` frames apart, and a model that takes given frames generates those between.

Masked conditioning as in Align Your Latents 3.2 (arXiv 2304.08818: T to 4T, applied twice) and LaVie's interpolation
(2309.15103, 3.3). A clip of any length is sampled in overlapping windows by `stream.euler_stream`; the noise of a frame is a
function of its number, so that windows agree, and key frames stay unchanged.
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
    """Yields the latents of all frames, one at a time, from key latents `(c, h, w)`, one at a time.

    first   number of the first frame in the shot that the clip is a part of, for its noise
    """
    channels = noise.shape[0]
    frames = _with_noise(keys, plan.factor, float(sigmas[0]), noise, first)
    for frame in euler_stream(_keeping(filler, channels, first), frames, sigmas, plan.cut):
        given = bool(frame[-1, 0, 0] > 0)
        yield frame[channels : 2 * channels] if given else frame[:channels]  # to the bit


def _with_noise(keys: Iterable[Tensor], factor: int, sigma: float, noise: FrameNoise, first: int) -> Iterator[Tensor]:
    """Per frame `(2 c + 1, h, w)`: noisy latent, given latent (0 without one), mask. Keys are noised too, as models expect."""
    number = first
    for index, key in enumerate(keys):
        for step in range(factor if index else 1):
            given = index == 0 or step == factor - 1
            start = noise.at(number, 0).to(key) * sigma
            known = key if given else torch.zeros_like(key)
            yield torch.cat([start + known, known, torch.full_like(key[:1], float(given))])
            number += 1


def _keeping(filler: Filler, channels: int, first: int) -> Work:
    """As `filler`, with given frames in its output unchanged."""

    def work(window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        x, keys, given = window[:, :channels], window[:, channels : 2 * channels], window[:, -1, 0, 0] > 0
        absolute = [first + number for number in numbers]
        known = {}
        for number, latent, is_given in zip(absolute, keys, given.tolist(), strict=True):
            if is_given:
                known[number] = latent
        clean = filler(x, sigma, absolute, known)
        return torch.where(given[:, None, None, None].to(clean.device), keys.to(clean), clean).to(window)

    return work


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
