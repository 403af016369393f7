"""Clips longer than a motion module can see, in the host's own samplers: every step in overlapping windows; shuffled noise.

Core's context windows fail on frames that are a batch (0.3.64), so these are the pack's own.
"""

from typing import Any

import comfy.conds
import comfy.model_management
import comfy.sample
import torch
from comfy.patcher_extension import WrappersMP
from einops import rearrange
from torch import Tensor

from ....sampling.noise import shuffled
from ....sampling.windows import Windows, denoise_in_windows
from ..call import FRAMES, LENGTH, WINDOWS, levels_of, wrap_call, wrap_model
from ..conditioning.per_frame import add_frames
from .guider import motion_options


def in_windows(model: Any, cut: Windows) -> Any:
    """A clone of MODEL whose samplers see long clips in windows."""
    patched = model.clone()
    patched.model_options["transformer_options"][WINDOWS] = cut.window

    def outer_sample(executor: Any, *args: Any, **kwargs: Any) -> Any:
        guider = executor.class_obj
        options = wrap_call(add_frames(guider.model_options), WINDOWS, _Cutter(cut))
        guider.model_options = options  # the host puts its own back after the run
        return executor(*args, **kwargs)

    def prepare(executor: Any, model: Any, noise_shape: Any, conds: Any, *args: Any, **kwargs: Any) -> Any:
        """Memory is needed for a window, not for the clip."""
        return executor(model, [min(cut.window, noise_shape[0]), *noise_shape[1:]], conds, *args, **kwargs)

    wrap_model(patched, WrappersMP.OUTER_SAMPLE, WINDOWS, outer_sample)
    wrap_model(patched, WrappersMP.PREPARE_SAMPLING, WINDOWS, prepare)
    return patched


class _Cutter:
    """The wrapper of one run."""

    def __init__(self, cut: Windows):
        self._cut = cut

    def __call__(self, executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
        if FRAMES in options["transformer_options"]:  # a queue has windows of its own
            return executor(model, conds, x, timestep, options, *more)
        levels = levels_of(timestep, x)
        motions = motion_options(options["transformer_options"], len(x))

        def denoise(part: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
            comfy.model_management.throw_exception_if_processing_interrupted()
            numbers = frame.tolist()
            told = {**options["transformer_options"], FRAMES: numbers, LENGTH: len(x), **motions(numbers, len(numbers), None)}
            halves = executor(model, _cut(conds, numbers, len(x)), part, sigma, {**options, "transformer_options": told}, *more)
            return torch.cat(list(halves), 1)

        step = _step(options["transformer_options"].get("sample_sigmas"), float(levels.max()))
        return list(
            rearrange(denoise_in_windows(denoise, x, levels, self._cut, step), "f (k c) h w -> k f c h w", k=len(conds))
        )


def _cut(conds: Any, frames: list[int], whole: int) -> list[Any]:
    """Conditions whose concatenated pictures, made by the host for the whole clip, are those of these frames."""

    def cut(one: dict[str, Any]) -> dict[str, Any]:
        held = {n: v for n, v in one["model_conds"].items() if type(v) is comfy.conds.CONDNoiseShape and len(v.cond) == whole}
        return {**one, "model_conds": {**one["model_conds"], **{n: type(v)(v.cond[frames]) for n, v in held.items()}}}

    return [half if half is None else [cut(one) for one in half] for half in conds]


def _step(sigmas: Tensor | None, sigma: float) -> int:
    """Which step of the sampling a noise level belongs to."""
    return 0 if sigmas is None else int((sigmas - sigma).abs().argmin())


class LongShotNoise:
    """The host's NOISE: frames after the first window get noise of the frames before them in another order (FreeNoise)."""

    def __init__(self, seed: int, window: int, overlap: int):
        self.seed, self._window, self._overlap = seed, window, overlap

    def generate_noise(self, input_latent: dict[str, Any]) -> Tensor:
        """Of the shape of the latent `(f, c, h, w)`."""
        samples = input_latent["samples"]
        if samples.ndim != 4:
            raise ValueError(f"latent: expected one latent per frame (f, c, h, w), got {tuple(samples.shape)}")
        noise = comfy.sample.prepare_noise(samples, self.seed, input_latent.get("batch_index"))
        return shuffled(noise, self._window, self._overlap, self.seed)
