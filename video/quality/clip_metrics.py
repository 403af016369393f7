"""Metrics of a clip without a network: flicker, warping error, seams, colour drift, and the spectrum of the brightness.

Frames are processed one at a time, so a file of any length is measured in the memory of two frames and a few numbers per frame.
With a ground truth, errors are computed against it; with a flow, neighbours are compared along it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest

import torch
from torch import Tensor

from ..frames.flow import flow_between
from ..frames.warp import trusted, warped
from .image_metrics import psnr

LEVELS = 255

Carry = Callable[[int, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(frame number, previous frame, frame) -> (previous frame warped to the frame, mask where reliable `(h, w)` bool)."""


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
    warping: list[float] = field(default_factory=list)
    """Difference from the previous frame warped along the flow, where the flow is reliable; with a flow only."""
    colours: list[tuple[float, float, float]] = field(default_factory=list)
    """Mean red, green and blue of each frame."""

    @property
    def frames(self) -> int:
        return len(self.colours)

    @property
    def drift(self) -> float:
        """Largest distance of a frame's mean colour from that of the first quarter."""
        colours = torch.tensor(self.colours)
        early = colours[: max(1, len(colours) // 4)].mean(0)
        return float((colours - early).norm(dim=-1).max())

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


def along_flow(number: int, before: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
    """A `Carry`: the previous frame warped along OpenCV's optical flow to this one, and the mask where the flow is reliable."""
    there, back = flow_between(frame, before)[None], flow_between(before, frame)[None]
    return warped(before[None], there)[0], trusted(there, back)[0, 0]


def measure(frames: Iterable[Tensor], truth: Iterable[Tensor] | None = None, carry: Carry | None = None) -> Quality:
    """Measures frames `(3, h, w)` in [0, 1].

    truth   ground truth: as many frames of the same size
    carry   warps a frame along a flow, for the warping error
    Raises ValueError for fewer than two frames, and for a truth of another length or size.
    """
    found = Quality()
    before: Tensor | None = None
    gap_before: Tensor | None = None
    step_before: Tensor | None = None
    for number, (frame, real) in enumerate(_paired(frames, truth)):
        found.colours.append(tuple((frame.mean((1, 2)) * LEVELS).tolist()))
        gap = None if real is None else frame - real
        if real is not None:
            found.psnr.append(float(psnr(frame[None], real[None])))
        if before is not None:
            step = frame - before
            found.difference.append(float(step.abs().mean()) * LEVELS)
            if step_before is not None:
                found.second.append(float((step - step_before).abs().mean()) * LEVELS)
            if gap is not None and gap_before is not None:
                found.error.append(float((gap - gap_before).abs().mean()) * LEVELS)
            if carry is not None:
                warped_before, reliable = carry(number, before, frame)
                error = (frame - warped_before).abs().mean(0)[reliable]
                found.warping.append(float(error.mean()) * LEVELS if bool(reliable.any()) else 0.0)
            step_before = step
        before, gap_before = frame, gap
    if found.frames < 2:
        raise ValueError(f"expected a clip of 2 frames or more, got {found.frames}: a single frame has no motion")
    return found


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


def table_of(clips: Mapping[str, Quality], every: int = 0, first: int = 0) -> str:
    """A table in Markdown, one row per clip; metrics that were not measured have no column.

    every, first   interval and first frame of window borders, for the seam ratio
    """
    columns: list[tuple[str, Callable[[Quality], float | None]]] = [
        ("PSNR dB", lambda one: _mean(one.psnr)),
        ("difference", lambda one: _mean(one.difference)),
        ("its error", lambda one: _mean(one.error)),
        ("second difference", lambda one: _mean(one.second)),
        ("warping error", lambda one: _mean(one.warping)),
        ("drift", lambda one: one.drift),
        ("pulse", lambda one: one.pulse() if one.frames >= 4 else None),
        ("seams", lambda one: one.seams(every, first) if every else None),
    ]
    measured = [(name, [of(one) for one in clips.values()]) for name, of in columns]
    found = [(name, values) for name, values in measured if any(value is not None for value in values)]
    lines = [["clip", "frames", *(name for name, _ in found)], ["---", *["---:"] * (len(found) + 1)]]
    for row, (name, one) in enumerate(clips.items()):
        figures = ["" if values[row] is None else f"{values[row]:.2f}" for _, values in found]
        lines.append([name, str(one.frames), *figures])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def lines_of(clips: Mapping[str, Quality]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Title of a chart -> clip -> points: differences (or their errors) by frame, and the spectrum of the brightness."""
    known = all(one.error for one in clips.values())
    title = "Error of differences between neighbouring frames" if known else "Difference between neighbouring frames"
    by_frame = {
        name: [(float(n), value) for n, value in enumerate(one.error if known else one.difference, 1)]
        for name, one in clips.items()
    }
    charts: dict[str, dict[str, list[tuple[float, float]]]] = {f"{title}, in levels of 255": by_frame}
    if all(one.frames >= 4 for one in clips.values()):
        spectra = {name: one.spectrum() for name, one in clips.items()}
        charts["Brightness that comes and goes, by frequency (cycles per frame)"] = {
            name: [(0.5 * n / len(power), float(value)) for n, value in enumerate(power, 1)] for name, power in spectra.items()
        }
    return charts


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
