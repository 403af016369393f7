"""Denoisers of frames `(f, c, h, w)` from guiders of video transformers, which take clips `(r, c, f, h, w)`."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..call import DIT
from ..call_guard import CallGuard
from .conditions import check_conditions, first_frames, for_windows, prompt_frames
from .levels import FrameLevels
from .model import dit_of


class Clips(FrameLevels):
    """The windows of a run's calls as clips of a video transformer."""

    def denoiser(self, guided: Callable[..., Tensor], transformer_options: dict[str, Any]) -> Callable[..., Tensor]:
        """A denoiser `(x (r f, c, h, w), sigma (r f,), latent (r f,), **options) -> clean (r f, c, h, w)`.

        guided                the guider's, `(clips, reference level of each (r,), frame number of each (r,), **options)`
        transformer_options   of the run; `DIT` is set to the number of each latent's first frame
        Raises RuntimeError where the network was not run.
        """

        def denoise(x: Tensor, sigma: Tensor, latent: Tensor, **more: Any) -> Tensor:
            clips, reference = self.clips(x, sigma)
            frames = first_frames(latent.tolist(), self._dit.each)
            before, transformer_options[DIT] = self.runs, frames
            clean = guided(clips, reference, torch.tensor(prompt_frames(frames, self._window)), **more)
            if self.runs == before:
                raise RuntimeError(CallGuard("a long shot", frames).message)
            return self.rows(clean)

        return denoise


def clips_for(guided: Any, window: int) -> Clips | None:
    """Clips for a guider whose `sample` is running; None for models of images.

    window   latents per window
    Raises ValueError for video models and conditions that need one noise level per clip.
    """
    dit = dit_of(guided.model_patcher)
    if dit is None:
        return None
    check_conditions(guided.conds)
    for_windows(guided.conds, window)
    return Clips(dit, guided.inner_model, window)
