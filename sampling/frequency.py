"""Noise whose low frequencies come from an earlier result (FreeInit, arXiv 2312.07537, TianxingWu/FreeInit 410286d).

Quirks of the published code are kept, because its figures were found with them: `ideal` compares the squared distance with
twice the cutoff, `box` takes the height for the width, and odd sizes are centred half a bin beside the constant part.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

AXES = (-4, -2, -1)
"""f, h and w of `(f, c, h, w)`."""


@dataclass(frozen=True)
class LowPass:
    """Which frequencies come from the earlier result. The defaults are the published ones."""

    kind: str = "butterworth"
    """One of `FILTERS`."""
    order: int = 4
    """Of the Butterworth filter: the higher, the steeper."""
    space: float = 0.25
    """Cutoff over height and width, as a share of the highest frequency."""
    time: float = 0.25
    """Cutoff over frames."""

    def __post_init__(self) -> None:
        if self.kind not in FILTERS:
            raise ValueError(f"filter: expected one of {', '.join(FILTERS)}, got {self.kind!r}")
        for name, value in (("space_cutoff", self.space), ("time_cutoff", self.time)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {value:g}")
        if self.order < 1:
            raise ValueError(f"order: expected 1 or more, got {self.order}")

    def at(self, frames: int, height: int, width: int) -> Tensor:
        """The filter `(f, h, w)` in [0, 1], the constant part in the middle, float64."""
        if self.space == 0 or self.time == 0:
            return torch.zeros(frames, height, width, dtype=torch.float64)
        return FILTERS[self.kind](self, (frames, height, width))


def mixed_frequencies(low: Tensor, high: Tensor, chosen: LowPass) -> Tensor:
    """Noise `(f, c, h, w)` of a clip: low frequencies of one, high ones of the other."""
    frames, _, height, width = low.shape
    shares = torch.fft.ifftshift(chosen.at(frames, height, width)).to(low)[:, None]
    return high + torch.fft.ifftn(torch.fft.fftn(low - high, dim=AXES) * shares, dim=AXES).real


def _squared_distance(cut: LowPass, sizes: tuple[int, int, int]) -> Tensor:
    """Of each bin from the constant part `(f, h, w)`; frames count by the ratio of the two cutoffs."""
    t, h, w = (2 * torch.arange(size, dtype=torch.float64) / size - 1 for size in sizes)
    return (cut.space / cut.time * t[:, None, None]) ** 2 + h[:, None] ** 2 + w**2


def _butterworth(cut: LowPass, sizes: tuple[int, int, int]) -> Tensor:
    return 1 / (1 + (_squared_distance(cut, sizes) / cut.space**2) ** cut.order)


def _gaussian(cut: LowPass, sizes: tuple[int, int, int]) -> Tensor:
    return torch.exp(-_squared_distance(cut, sizes) / (2 * cut.space**2))


def _ideal(cut: LowPass, sizes: tuple[int, int, int]) -> Tensor:
    return (_squared_distance(cut, sizes) <= 2 * cut.space).double()


def _box(cut: LowPass, sizes: tuple[int, int, int]) -> Tensor:
    frames, height, width = sizes
    time, space = round(frames // 2 * cut.time), round(height // 2 * cut.space)
    mask = torch.zeros(sizes, dtype=torch.float64)
    kept = (slice(size // 2 - half, size // 2 + half) for size, half in ((frames, time), (height, space), (width, space)))
    mask[tuple(kept)] = 1
    return mask


FILTERS: dict[str, Callable[[LowPass, tuple[int, int, int]], Tensor]] = {
    "butterworth": _butterworth, "gaussian": _gaussian, "ideal": _ideal, "box": _box,
}  # fmt: skip
