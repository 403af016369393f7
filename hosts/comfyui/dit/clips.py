"""Denoisers of frames `(f, c, h, w)` from guiders of video transformers, which take clips `(r, c, f, h, w)`."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ..call import DIT, wrap_call
from ..call_guard import CallGuard
from ..compiled import is_compiled
from .conditions import check_conditions, first_frames, for_windows, prompt_frames
from .levels import FrameLevels
from .model import dit_of, network_of
from .prompts import FramePrompts


class Clips(FrameLevels):
    """The windows of a run's calls as clips of a video transformer."""

    _prompts: FramePrompts | None = None
    """Prompts by frame; None where the windows have one each."""

    def add_to(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """As in `FrameLevels`; in the networks that can, and are not compiled, each frame gets its own prompt."""
        options = super().add_to(options)
        if not self._dit.frame_prompts or is_compiled(self._base.diffusion_model, options["transformer_options"]):
            return options
        self._prompts = FramePrompts(network_of(self._base), self._window)
        return wrap_call(options, DIT, self._with_prompts)

    def _with_prompts(self, executor: Any, model: Any, conds: Any, x: Tensor, *args: Any) -> Any:
        """A CALC_COND_BATCH wrapper."""
        assert self._prompts is not None
        folded = self._prompts.folded(conds, len(x))
        if folded is None:
            return executor(model, conds, x, *args)
        with self._prompts.active():
            return executor(model, folded, x, *args)

    def denoiser(self, guided: Callable[..., Tensor], transformer_options: dict[str, Any]) -> Callable[..., Tensor]:
        """A denoiser `(x (r f, c, h, w), sigma (r f,), latent (r f,), **options) -> clean (r f, c, h, w)`.

        guided                the guider's, `(clips, reference level of each (r,), frame numbers by which prompts are chosen)`
        transformer_options   of the run; `DIT` is set to the number of each latent's first frame
        Raises RuntimeError where the network was not run.
        """

        def denoise(x: Tensor, sigma: Tensor, latent: Tensor, **more: Any) -> Tensor:
            clips, reference = self.clips(x, sigma)
            frames = first_frames(latent.tolist(), self._dit.each)
            before, transformer_options[DIT] = self.runs, frames
            chosen = frames if self._prompts else prompt_frames(frames, self._window)
            clean = guided(clips, reference, torch.tensor(chosen), **more)
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
