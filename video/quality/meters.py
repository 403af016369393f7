"""Meters: further metrics of a clip, frame by frame, in constant memory besides a few numbers per frame.

The signal meter uses FFmpeg's filters (through PyAV), which need no weights. The flow meter uses OpenCV's optical flow.
"""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Protocol

import torch
from torch import Tensor

from ..frames.flow import flow_between
from ..frames.warp import trusted, warped
from ..io.av import pyav

LEVELS = 255
WORK = "measuring a video's signal"
TOP_FLOW = 0.05
"""Share of the pixels with the longest flow, over which the motion is averaged, as VBench's dynamic degree does."""

Flows = Callable[[Tensor, Tensor], Tensor]
"""(frame, frame) -> optical flow from the first to the second `(2, h, w)`, in pixels."""


class Meter(Protocol):
    """Measures a clip frame by frame."""

    def take(self, before: Tensor | None, frame: Tensor) -> None:
        """Takes the next frame `(3, h, w)` in [0, 1]. before: the frame before it; None for the first one."""

    def series(self) -> Mapping[str, Sequence[float]]:
        """Name of a metric -> its values by frame, after the last frame."""
        ...


SIGNALS = {
    "siti": {"SI": "lavfi.siti.si", "TI": "lavfi.siti.ti"},
    "blurdetect": {"blur": "lavfi.blur"},
    "blockdetect": {"blockiness": "lavfi.block"},
    "vmafmotion": {"VMAF motion": "lavfi.vmafmotion.score"},
    "photosensitivity=bypass=1": {"flashing": "lavfi.photosensitivity.frame-badness"},
}
"""FFmpeg's filter with its options -> name of a metric -> the key of its value in a frame's metadata.

SI, TI: spatial and temporal information (ITU-T P.910), the largest over the clip is its measure. blur: width of edges in
pixels (Marziliano et al. 2002). blockiness: strength of a grid, 1 without one. VMAF motion: mean difference of blurred frames.
flashing: strength of the flash between two frames, as FFmpeg's filter against photosensitive seizures measures it.
"""


class SignalMeter:
    """A `Meter` of FFmpeg's filters, for frames of one size. Filters that this PyAV lacks are left out."""

    def __init__(self) -> None:
        available = _filter_module().filters_available
        self._filters = {name: keys for name, keys in SIGNALS.items() if name.partition("=")[0] in available}
        self._values: dict[str, list[float]] = {name: [] for keys in self._filters.values() for name in keys}
        self._graph: Any = None
        self._count = 0

    def take(self, before: Tensor | None, frame: Tensor) -> None:
        del before  # filters keep what they need
        pixels = (frame[:3].clamp(0, 1) * LEVELS).round().to("cpu", torch.uint8).movedim(0, -1).contiguous().numpy()
        picture = pyav(WORK).VideoFrame.from_ndarray(pixels, format="rgb24")
        self._graph = self._graph or _graph(picture.width, picture.height, self._filters)
        picture.pts, self._count = self._count, self._count + 1
        self._graph.push(picture)
        self._pull()

    def series(self) -> Mapping[str, Sequence[float]]:
        if self._graph is not None:
            self._graph.push(None)
            self._pull()
            self._graph = None
        return self._values

    def _pull(self) -> None:
        """Reads the metadata of all frames that the filters have finished."""
        names = {name: key for keys in self._filters.values() for name, key in keys.items()}
        while True:
            try:
                metadata = self._graph.pull().metadata
            except (BlockingIOError, EOFError):  # PyAV's errors are subclasses
                return
            for name, key in names.items():
                if key in metadata:
                    self._values[name].append(float(metadata[key]))


def _filter_module() -> Any:
    pyav(WORK)
    import av.filter

    return av.filter


def _graph(width: int, height: int, filters: Mapping[str, Any]) -> Any:
    graph = _filter_module().Graph()
    last = graph.add_buffer(width=width, height=height, format="rgb24", time_base=Fraction(1, 25))
    for name in ("format=yuv420p", *filters):
        kind, _, options = name.partition("=")
        added = graph.add(kind, options) if options else graph.add(kind)
        last.link_to(added)
        last = added
    last.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


class FlowMeter:
    """A `Meter` along the optical flow: warping error, amount of motion, and how even the motion is.

    warping error   difference from the previous frame warped along the flow, where the flow is reliable, in levels of 255
    motion          mean length of the longest 5 % of the flow, in pixels per frame: a still clip has no flicker
    uneven motion   change of the flow from one pair of frames to the next, divided by its length
    Raises ValueError without OpenCV, and for frames below 16x16.
    """

    def __init__(self, flows: Flows = flow_between):
        self._flows = flows
        self._before: Tensor | None = None
        self._values: dict[str, list[float]] = {"warping error": [], "motion": [], "uneven motion": []}

    def take(self, before: Tensor | None, frame: Tensor) -> None:
        if before is None:
            return
        back = self._flows(frame, before)
        reliable = trusted(back[None], self._flows(before, frame)[None])[0, 0]
        error = (frame - warped(before[None], back[None])[0]).abs().mean(0)[reliable]
        lengths = back.norm(dim=0).flatten()
        longest = lengths.topk(max(1, round(TOP_FLOW * len(lengths)))).values
        values = self._values
        values["warping error"].append(float(error.mean()) * LEVELS if bool(reliable.any()) else 0.0)
        values["motion"].append(float(longest.mean()))
        if self._before is not None:
            change = (back - self._before).norm(dim=0).mean()
            values["uneven motion"].append(float(change / torch.stack([back, self._before]).norm(dim=1).mean().clamp(min=0.1)))
        self._before = back

    def series(self) -> Mapping[str, Sequence[float]]:
        return self._values
