"""Layout of a queue and presets for a MODEL, by its noise schedule."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ....sampling.layout import FifoLayout
from ....sampling.queue import PRESETS, QueueSettings, clip_presets
from ..dit.model import clean_scales, dit_of
from .rounds import sigmas_for


def presets_for(model: Any) -> Mapping[str, QueueSettings]:
    """Queue settings by the names of `PRESETS`: for a video transformer those of its window and steps."""
    dit = dit_of(model)
    return clip_presets(dit.window, dit.steps) if dit else PRESETS


def layout_for(model: Any, queue: QueueSettings, sigmas: Tensor | None) -> FifoLayout:
    """Layout of a queue.

    sigmas   noise levels of a scheduler; None: the published ones, for video transformers those of the scheduler "simple"
    Raises ValueError for settings that do not fit a video transformer.
    """
    sampling = model.get_model_object("model_sampling")
    if dit_of(model) is None:
        return queue.layout(getattr(sampling, "sigmas", None), sigmas)
    _check(queue, sigmas)
    if sigmas is None:
        sigmas = sigmas_for(model, queue.levels)
    return queue.layout(None, sigmas, clean_scales(sampling, sigmas[:-1].cpu()))


def _check(queue: QueueSettings, sigmas: Tensor | None) -> None:
    if queue.context < 1:
        raise ValueError(
            "context: expected 1 or more for this MODEL, got 0: the first latent of each window is a single frame in training, "
            "so it must come before those that the window updates"
        )
    if queue.coherent_tail:
        raise ValueError(
            f"coherent_tail: expected 0 for this MODEL, got {queue.coherent_tail:g}: its frames enter as pure noise, which has "
            "no share of a frame"
        )
    if sigmas is not None and float(sigmas[-1]) != 0:
        raise ValueError(
            f"sigmas: expected 0 as the last noise level for this MODEL, got {float(sigmas[-1]):g}; do not cut the end off "
            "(SplitSigmas)"
        )
