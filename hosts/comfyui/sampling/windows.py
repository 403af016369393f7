"""Sliding windows for clips longer than a motion module supports, in the host's samplers; noise for such clips.

Core's context windows fail where the frames are the batch (ComfyUI 0.3.64), so the pack has its own.
"""

from typing import Any

import comfy.model_management
import comfy.sample
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ....sampling.noise import shuffled
from ....sampling.windows import Windows, denoise_in_windows
from ..call import CALL_STATES, FRAMES, LENGTH, SHARED, WINDOWS, is_set, levels_of, wrap_model
from ..call_guard import call_states_of, for_other_frames, guarded
from ..conditioning.per_frame import add_frames
from ..latents import check_latent, check_shape
from ..previews import add_previews
from .guider import motion_options


def in_windows(model: Any, cut: Windows) -> Any:
    """A clone of the MODEL that processes a clip in overlapping windows at every step."""
    patched = model.clone()
    patched.model_options["transformer_options"][WINDOWS] = cut.window

    def outer_sample(executor: Any, noise: Any, *args: Any, **kwargs: Any) -> Any:
        guider = executor.class_obj
        check_latent(noise, guider.model_patcher)
        sampling = guider.model_patcher.get_model_object("model_sampling")
        options = for_other_frames(add_frames(guider.model_options), sampling, "Sliding Windows")
        options["transformer_options"][CALL_STATES] = call_states_of(options)
        guider.model_options = options
        return executor(noise, *args, **kwargs)  # the host restores the guider's options after the run

    def prepare(executor: Any, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any) -> Any:
        """Reserves memory for a window instead of the clip."""
        return executor(model, [min(cut.window, noise_shape[0]), *noise_shape[1:]], conds, *args, **kwargs)

    wrap_model(patched, WrappersMP.OUTER_SAMPLE, WINDOWS, outer_sample)
    wrap_model(patched, WrappersMP.PREPARE_SAMPLING, WINDOWS, prepare)
    wrap_model(patched, WrappersMP.PREDICT_NOISE, WINDOWS, lambda *args, **kwargs: _predict(cut, *args, **kwargs))
    add_previews(patched)
    return patched


def _predict(
    cut: Windows, executor: Any, x: Tensor, timestep: Tensor, model_options: Any = None, seed: Any = None, *more: Any
) -> Tensor:
    """A PREDICT_NOISE wrapper: calls the guider for each window.

    Guidance is computed per window, because nodes that run after guidance (SAG) use the model's last output.
    """
    options: dict[str, Any] = model_options or {}
    transformer_options, base = options["transformer_options"], executor.class_obj.inner_model
    if FRAMES in transformer_options:  # called by a FIFO queue, which has its own windows
        return executor(x, timestep, options, seed, *more)
    levels = levels_of(timestep, x)
    motions, call_states = motion_options(transformer_options, len(x)), transformer_options[CALL_STATES]
    call_states.step()

    def denoise(part: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        numbers = frame.tolist()
        with call_states.of(tuple(numbers)), guarded(base, transformer_options, "Sliding Windows", numbers) as guard:
            added = {FRAMES: numbers, LENGTH: len(x), **motions(numbers, len(numbers), None), **guard}
            call_options = {**options, "transformer_options": {**transformer_options, **added}}
            return executor(part, sigma, call_options, seed, *more)

    step = _step(transformer_options.get("sample_sigmas"), float(levels.max()))
    # attention across frames takes the keys and values of frame 0 from its window
    return denoise_in_windows(denoise, x, levels, cut, step, is_set(SHARED, transformer_options))


def _step(sigmas: Tensor | None, sigma: float) -> int:
    """Index of the sampling step with the nearest noise level."""
    return 0 if sigmas is None else int((sigmas - sigma).abs().argmin())


class LongShotNoise:
    """NOISE for long clips: later windows get the first window's noise in shuffled order (FreeNoise, arXiv 2310.15169)."""

    def __init__(self, seed: int, window: int, overlap: int):
        self.seed, self._window, self._overlap = seed, window, overlap

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """Noise of the latent's shape `(f, c, h, w)`."""
        samples = input_latent["samples"]
        check_shape(samples)
        noise = comfy.sample.prepare_noise(samples, self.seed, input_latent.get("batch_index"))
        return shuffled(noise, self._window, self._overlap, self.seed)
