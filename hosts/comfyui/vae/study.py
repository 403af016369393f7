"""VAEs of the host in a study of what time does to them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....video.quality.chart import chart_of, curves, stacked
from ....video.quality.clip_metrics import along_flow, lines_of, measure
from ....video.quality.clip_metrics import table_of as quality_table
from ....video.quality.study import study, table_of
from .chunked import ChunkedVae
from .video import InputClip, clip_of


@dataclass(frozen=True)
class Study:
    table: str
    plot: Tensor
    """`(1, h, w, 3)`"""


def study_of(clip: InputClip, vaes: Mapping[str, Any], changes: Sequence[str], frames: int) -> Study:
    """The first frames of a clip through every VAE, changed in every way. Raises ValueError as `study` does."""
    held = list(islice(clip.frames, frames))
    if not held:
        raise ValueError("expected a clip of 2 frames or more, got none")
    truth = torch.stack(held)[:, :3].float()
    lenses = {name: ChunkedVae(vae) for name, vae in vaes.items()}
    results = study(truth, {name: (trip(chunked_vae), chunked_vae.side) for name, chunked_vae in lenses.items()}, changes)
    return Study(table_of(results), _as_images(chart_of(results)))


def quality_of(clips: Mapping[str, Any], truth: Any, window: int, flow: bool) -> Study:
    """Every clip (IMAGE or VIDEO) measured frame by frame, against the truth (the same) where there is one."""
    carry = along_flow if flow else None

    def frames(images: Any) -> Iterator[Tensor]:
        return (frame[:3].float() for frame in clip_of(images).frames)

    found = {name: measure(frames(images), None if truth is None else frames(truth), carry) for name, images in clips.items()}
    charts = [curves(title, "", lines) for title, lines in lines_of(found).items()]
    return Study(quality_table(found, window), _as_images(stacked(charts)))


def _as_images(page: Any) -> Tensor:
    return torch.from_numpy(np.asarray(page).copy())[None] / 255


def trip(chunked_vae: ChunkedVae) -> Callable[[Tensor], Tensor]:
    """There and back."""

    def go(clip: Tensor) -> Tensor:
        return torch.stack(list(chunked_vae.decode(chunked_vae.encode(clip))))

    return go
