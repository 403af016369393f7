"""VAEs of the host in a study of what time does to them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..media.chart import chart_of
from ..media.study import study, table_of
from .comfyui_clips import Clip
from .comfyui_vae import Lens


@dataclass(frozen=True)
class Study:
    table: str
    plot: Tensor
    """`(1, h, w, 3)`"""


def study_of(clip: Clip, vaes: Mapping[str, Any], changes: Sequence[str], frames: int) -> Study:
    """The first frames of a clip through every VAE, changed in every way. Raises ValueError as `media.study.study` does."""
    held = list(islice(clip.frames, frames))
    if not held:
        raise ValueError("expected a clip of 2 frames or more, got none")
    truth = torch.stack(held)[:, :3].float()
    lenses = {name: Lens(vae) for name, vae in vaes.items()}
    results = study(truth, {name: (trip(lens), lens.side) for name, lens in lenses.items()}, changes)
    plot = torch.from_numpy(np.asarray(chart_of(results)).copy())[None] / 255
    return Study(table_of(results), plot)


def trip(lens: Lens) -> Callable[[Tensor], Tensor]:
    """There and back."""

    def go(clip: Tensor) -> Tensor:
        return torch.stack(list(lens.decode(lens.encode(clip))))

    return go
