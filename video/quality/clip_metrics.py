"""Metrics of a clip without a network: flicker, seams, colour drift, cuts, and the spectrum of the brightness.

Frames are processed one at a time, so a file of any length is measured in the memory of three frames and a few numbers per
frame. With a ground truth, errors are computed against it; `meters.py` has further metrics.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from statistics import median

import torch
from torch import Tensor

from ..frames.cuts import is_cut
from .image_metrics import psnr
from .meters import Meter

LEVELS = 255
FROZEN = 0.255
"""Difference in levels up to which a frame repeats the one before: -60 dB, as in FFmpeg's freezedetect."""
CUT = 0.3
"""Difference of colours above which a scene begins."""


@dataclass
class Quality:
    """Metrics per frame, in levels of 255 unless stated."""

    difference: list[float] = field(default_factory=list)
    """Mean absolute difference of each frame from the one before; motion included."""
    second: list[float] = field(default_factory=list)
    """Mean absolute second difference: uneven motion and flicker."""
    error: list[float] = field(default_factory=list)
    """Error of the difference from the previous frame; with a ground truth only."""
    psnr: list[float] = field(default_factory=list)
    """PSNR in dB; with a ground truth only."""
    colours: list[tuple[float, float, float]] = field(default_factory=list)
    """Mean red, green and blue of each frame."""
    cuts: list[int] = field(default_factory=list)
    """Numbers of the frames with which scenes begin, except the first."""
    around: float = 0.0
    """Mean absolute difference of the last frame from the first."""
    more: dict[str, Sequence[float]] = field(default_factory=dict)
    """Values of meters by frame."""

    @property
    def frames(self) -> int:
        return len(self.colours)

    @property
    def drift(self) -> float:
        """Largest distance of a frame's mean colour from that of the first quarter."""
        colours = torch.tensor(self.colours)
        early = colours[: max(1, len(colours) // 4)].mean(0)
        return float((colours - early).norm(dim=-1).max())

    @property
    def frozen(self) -> float:
        """Share of frames that repeat the one before."""
        return sum(value <= FROZEN for value in self.difference) / len(self.difference)

    @property
    def loop_gap(self) -> float:
        """Difference of the last frame from the first over the median difference of neighbours; about 1 in a closed loop."""
        return self.around / max(median(self.difference), 1e-9)

    def seams(self, every: int, first: int = 0) -> float:
        """Ratio of the differences at window borders (every `every` frames) to those elsewhere; 1: no visible seam.

        Raises ValueError for a clip without both.
        """
        values = self.error or self.difference
        at = [value for n, value in enumerate(values, 1) if n >= first and (n - first) % every == 0]
        others = [value for n, value in enumerate(values, 1) if n < first or (n - first) % every]
        if not at or not others:
            raise ValueError(f"seams: expected more than {every} frames, got {self.frames}")
        return (sum(at) / len(at)) / max(sum(others) / len(others), 1e-9)

    def spectrum(self) -> Tensor:
        """Amplitude of the mean brightness at each frequency `(n,)`, from 0 (left out) to 0.5 cycles per frame, in levels."""
        bright = torch.tensor(self.colours, dtype=torch.float32).mean(1)
        if len(bright) < 4:
            raise ValueError(f"spectrum: expected 4 frames or more, got {len(bright)}")
        window = torch.hann_window(len(bright), periodic=False)
        return (torch.fft.rfft((bright - bright.mean()) * window).abs() / window.sum())[1:]

    def pulse(self) -> float:
        """Flicker of the brightness above 0.25 cycles per frame: root of the power in the upper half of the spectrum."""
        power = self.spectrum().square()
        return float(power[len(power) // 2 :].sum().sqrt())


def measure(frames: Iterable[Tensor], truth: Iterable[Tensor] | None = None, meters: Sequence[Meter] = ()) -> Quality:
    """Measures frames `(3, h, w)` in [0, 1].

    truth    ground truth: as many frames of the same size
    meters   new ones, for further metrics
    Raises ValueError for fewer than two frames, and for a truth of another length or size.
    """
    found = Quality()
    first: Tensor | None = None
    before: Tensor | None = None
    gap_before: Tensor | None = None
    step_before: Tensor | None = None
    for number, (frame, real) in enumerate(_paired(frames, truth)):
        first = frame if first is None else first
        found.colours.append(tuple((frame.mean((1, 2)) * LEVELS).tolist()))
        gap = None if real is None else frame - real
        if real is not None:
            found.psnr.append(float(psnr(frame[None], real[None])))
        if before is not None:
            step_before = _step(found, number, before, frame, step_before)
        if gap is not None and gap_before is not None:
            found.error.append(float((gap - gap_before).abs().mean()) * LEVELS)
        for meter in meters:
            meter.take(before, frame)
        before, gap_before = frame, gap
    if found.frames < 2:
        raise ValueError(f"expected a clip of 2 frames or more, got {found.frames}: a single frame has no motion")
    assert first is not None
    assert before is not None
    found.around = float((before - first).abs().mean()) * LEVELS
    for meter in meters:
        found.more |= meter.series()
    return found


def _step(found: Quality, number: int, before: Tensor, frame: Tensor, step_before: Tensor | None) -> Tensor:
    """Adds what is measured between two frames. Returns their difference."""
    step = frame - before
    found.difference.append(float(step.abs().mean()) * LEVELS)
    found.cuts += [number] if is_cut(before, frame, CUT) else []
    if step_before is not None:
        found.second.append(float((step - step_before).abs().mean()) * LEVELS)
    return step


def _paired(frames: Iterable[Tensor], truth: Iterable[Tensor] | None) -> Iterator[tuple[Tensor, Tensor | None]]:
    if truth is None:
        yield from ((frame, None) for frame in frames)
        return
    for number, (frame, real) in enumerate(zip_longest(frames, truth)):
        if frame is None or real is None:
            raise ValueError(f"the clip and its truth differ in length: one of them ends after frame {number}")
        if frame.shape != real.shape:
            raise ValueError(f"frame {number}: expected the truth's size {tuple(real.shape[1:])}, got {tuple(frame.shape[1:])}")
        yield frame, real
