"""Metrics of clips in ComfyUI, also with the host's image encoders."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.model_management
import torch
from torch import Tensor
from torch.nn.functional import normalize

from ....video.quality.chart import curves, stacked
from ....video.quality.clip_metrics import measure
from ....video.quality.clip_tables import json_of, lines_of, table_of
from ....video.quality.meters import FlowMeter, Meter, SignalMeter
from .study import as_images
from .video import clip_of


@dataclass(frozen=True)
class Metrics:
    """Metrics of one clip or two."""

    table: str
    plot: Tensor
    """`(1, h, w, 3)`"""
    json: str


@dataclass(frozen=True)
class MetricsRequest:
    """What is measured besides the clip itself."""

    truth: Any = None
    """IMAGE or VIDEO; None: no ground truth."""
    seam_every: int = 0
    flow: bool = False
    vision: Any = None
    """CLIP_VISION; None: no features."""
    reference: Tensor | None = None
    """IMAGE whose features frames are compared with; several are averaged."""


def metrics_of(clips: Mapping[str, Any], request: MetricsRequest) -> Metrics:
    """Measures every clip (IMAGE or VIDEO) frame by frame. Raises ValueError for a reference without an image encoder."""
    if request.reference is not None and request.vision is None:
        raise ValueError("reference: needs an image encoder; connect clip_vision, for example from Load CLIP Vision")

    def frames(images: Any) -> Iterator[Tensor]:
        for frame in clip_of(images).frames:
            comfy.model_management.throw_exception_if_processing_interrupted()
            yield frame[:3].float()

    measured = {
        name: measure(frames(clip), None if request.truth is None else frames(request.truth), meters_for(request))
        for name, clip in clips.items()
    }
    every = request.seam_every
    charts = [curves(title, "", lines) for title, lines in lines_of(measured).items()]
    return Metrics(table_of(measured, every), as_images(stacked(charts)), json_of(measured, every))


def meters_for(request: MetricsRequest) -> list[Meter]:
    flow: list[Meter] = [FlowMeter()] if request.flow else []
    vision: list[Meter] = [VisionMeter(request.vision, request.reference)] if request.vision is not None else []
    return [SignalMeter(), *flow, *vision]


class VisionMeter:
    """A `Meter` of an image encoder's features: cosine to the previous frame, to the first one, and to a reference.

    The mean of the first two is what VBench (arXiv 2311.17982) calls consistency, there with its own encoders.
    reference   `(n, h, w, c)` in [0, 1]
    """

    def __init__(self, vision: Any, reference: Tensor | None = None):
        self._vision = vision
        self._reference = None if reference is None else normalize(self._features(reference).mean(0, keepdim=True))
        self._first: Tensor | None = None
        self._before: Tensor | None = None
        self._values: dict[str, list[float]] = {"to the previous frame": [], "to the first frame": []}
        if self._reference is not None:
            self._values["to the reference"] = []

    def take(self, before: Tensor | None, frame: Tensor) -> None:
        del before
        features = self._features(frame.movedim(0, -1)[None])
        if self._reference is not None:
            self._values["to the reference"].append(float((features * self._reference).sum()))
        if self._first is None or self._before is None:
            self._first = features
        else:
            self._values["to the previous frame"].append(float((features * self._before).sum()))
            self._values["to the first frame"].append(float((features * self._first).sum()))
        self._before = features

    def series(self) -> Mapping[str, Sequence[float]]:
        return self._values

    def _features(self, pictures: Tensor) -> Tensor:
        """Features of pictures `(n, h, w, 3)`, of length 1 `(n, d)`."""
        with torch.inference_mode():
            return normalize(self._vision.encode_image(pictures[..., :3])["image_embeds"].float().cpu())
