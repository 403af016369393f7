"""Tables, charts and JSON of clip metrics."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .clip_metrics import Quality
from .interval import BLOCK, paired_interval

Column = Callable[[Quality], float | None]

AGAINST_TRUTH: dict[str, Column] = {"PSNR dB": lambda one: _mean(one.psnr), "its error": lambda one: _mean(one.error)}
ALWAYS: dict[str, Column] = {
    "difference": lambda one: _mean(one.difference),
    "second difference": lambda one: _mean(one.second),
    "drift": lambda one: one.drift,
    "pulse": lambda one: one.pulse() if one.frames >= 4 else None,
    "frozen": lambda one: one.frozen,
    "cuts": lambda one: float(len(one.cuts)),
    "loop gap": lambda one: one.loop_gap,
}


def columns_of(clips: Mapping[str, Quality], every: int = 0, first: int = 0) -> dict[str, dict[str, float]]:
    """Name of a metric -> clip -> its value over the clip; metrics that were not measured are left out.

    every, first   interval and first frame of window borders, for the seam ratio
    """
    of: dict[str, Column] = {**AGAINST_TRUTH, **ALWAYS}
    if every:
        of["seams"] = lambda one: one.seams(every, first)
    for name in dict.fromkeys(name for one in clips.values() for name in one.more):
        of[name] = lambda one, name=name: _summary(name, one.more.get(name, ()))
    found = {name: {clip: column(one) for clip, one in clips.items()} for name, column in of.items()}
    return {
        name: {clip: value for clip, value in values.items() if value is not None}
        for name, values in found.items() if any(value is not None for value in values.values())
    }  # fmt: skip


def _summary(name: str, values: Sequence[float]) -> float | None:
    """A metric over a clip: the mean; the largest value where that is the measure."""
    return max(values, default=None) if name in LARGEST else _mean(values)


LARGEST = ("SI", "TI", "flashing")
"""Metrics whose largest value over the frames is that of the clip."""


def table_of(clips: Mapping[str, Quality], every: int = 0, first: int = 0) -> str:
    """A table in Markdown, one row per metric and one column per clip; for two clips of one length the paired difference.

    every, first   as `columns_of`
    """
    columns, names = columns_of(clips, every, first), list(clips)
    gaps = differences(clips)
    more = [f"{names[1]} minus {names[0]} (95 %)"] if gaps else []
    lines = [["metric", *names, *more], ["---", *["---:"] * len(names + more)]]
    lines.append(["frames", *(str(one.frames) for one in clips.values()), *[""] * len(more)])
    for name, values in columns.items():
        figures = [f"{values[clip]:.2f}" if clip in values else "" for clip in names]
        gap = gaps.get(name)
        lines.append([name, *figures, *([f"{gap[0]:+.2f} ({gap[1]:+.2f} to {gap[2]:+.2f})" if gap else ""] if gaps else [])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def differences(clips: Mapping[str, Quality]) -> dict[str, tuple[float, float, float]]:
    """Metric -> (second clip minus first, lower and upper end of the 95 % interval), for two clips of one length."""
    if len(clips) != 2:
        return {}
    one, other = (by_frame(clip) for clip in clips.values())
    return {
        name: paired_interval(other[name], values)
        for name, values in one.items()
        if name not in LARGEST and len(values) == len(other.get(name, ())) >= 2 * BLOCK
    }


def by_frame(clip: Quality) -> dict[str, Sequence[float]]:
    """Name of a metric -> its values by frame, those that were measured."""
    own = {"PSNR dB": clip.psnr, "its error": clip.error, "difference": clip.difference, "second difference": clip.second}
    return {name: values for name, values in {**own, **clip.more}.items() if values}


def json_of(clips: Mapping[str, Quality], every: int = 0, first: int = 0, frames: bool = False) -> str:
    """All metrics as JSON. frames: whether to include the values by frame."""
    columns = columns_of(clips, every, first)
    page: dict[str, Any] = {"clips": {}, "differences": differences(clips)}
    for name, clip in clips.items():
        metrics = {metric: round(values[name], 5) for metric, values in columns.items() if name in values}
        page["clips"][name] = {"frames": clip.frames, "metrics": metrics, "cuts at": clip.cuts}
        if frames:
            rounded = {metric: [round(value, 5) for value in values] for metric, values in by_frame(clip).items()}
            page["clips"][name]["by frame"] = rounded
    return json.dumps(page, indent=1)


def lines_of(clips: Mapping[str, Quality]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Title of a chart -> clip -> points: differences (or their errors) by frame, and the spectrum of the brightness."""
    known = all(one.error for one in clips.values())
    title = "Error of differences between neighbouring frames" if known else "Difference between neighbouring frames"
    first = {
        name: [(float(n), value) for n, value in enumerate(one.error if known else one.difference, 1)]
        for name, one in clips.items()
    }
    charts: dict[str, dict[str, list[tuple[float, float]]]] = {f"{title}, in levels of 255": first}
    if all(one.frames >= 4 for one in clips.values()):
        spectra = {name: one.spectrum() for name, one in clips.items()}
        charts["Brightness that comes and goes, by frequency (cycles per frame)"] = {
            name: [(0.5 * n / len(power), float(value)) for n, value in enumerate(power, 1)] for name, power in spectra.items()
        }
    for metric in PLOTTED:
        if all(one.more.get(metric) for one in clips.values()):
            charts[PLOTTED[metric]] = {
                name: [(float(n), value) for n, value in enumerate(one.more[metric], 1)] for name, one in clips.items()
            }
    return charts


PLOTTED = {
    "motion": "Motion, in pixels per frame",
    "to the first frame": "Likeness to the first frame (cosine of the image encoder's features)",
    "to the reference": "Likeness to the reference (cosine of the image encoder's features)",
}
"""Metric of a meter -> title of its chart."""


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
