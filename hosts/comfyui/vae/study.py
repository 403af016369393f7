"""Studies of the host's VAEs on clips, as tables and charts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ....video.quality.chart import chart_of
from ....video.quality.study import study, table_of
from .chunked import ChunkedVae
from .video import InputClip


@dataclass(frozen=True)
class Study:
    """Results of a study."""

    table: str
    plot: Tensor
    """`(1, h, w, 3)`"""


def study_of(clip: InputClip, vaes: Mapping[str, Any], changes: Sequence[str], frames: int) -> Study:
    """Encodes and decodes the first frames of a clip with every VAE, under each change. Raises ValueError as `study` does."""
    first = list(islice(clip.frames, frames))
    if not first:
        raise ValueError("expected a clip of 2 frames or more, got none")
    truth = torch.stack(first)[:, :3].float()
    chunked = {name: ChunkedVae(vae) for name, vae in vaes.items()}
    results = study(truth, {name: (trip(vae), vae.side) for name, vae in chunked.items()}, changes)
    return Study(table_of(results), as_images(chart_of(results)))


def as_images(page: Any) -> Tensor:
    return torch.from_numpy(np.asarray(page).copy())[None] / 255


def trip(chunked_vae: ChunkedVae) -> Callable[[Tensor], Tensor]:
    """A function that encodes and decodes a clip `(f, 3, h, w)` in [0, 1]."""

    def encode_decode(clip: Tensor) -> Tensor:
        return torch.stack(list(chunked_vae.decode(chunked_vae.encode(clip))))

    return encode_decode
