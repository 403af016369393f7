"""The FIFO queue as the host's SAMPLER: one guider call per group of windows, one noise level and one frame number per row."""

import logging
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.samplers
import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key
from torch import Tensor

from ..models.layers.strength import spread
from ..sampling import fifo
from ..sampling.noise import FrameNoise
from ..sampling.queue import Queue, Schedules, begin
from ..sampling.timeline import Numbers
from .comfyui import KEY as MOTION
from .comfyui_control import rows_at
from .comfyui_frames import KEY, add_frames

INNER = "zoetrope.inner"

log = logging.getLogger(__name__)


Inner = Callable[..., Any]
"""A CALC_COND_BATCH wrapper of the run."""


def denoiser(
    guided: Any, extra_args: dict[str, Any], window: int, schedules: Schedules, inner: Inner | None = None
) -> Callable[..., Tensor]:
    """The guider as a model with absolute frame numbers: `(x, sigma (f,), frame (f,), **told)`, told to wrappers of the call.

    window   frames per clip; 0: the rows of a call are one
    Call it inside a sampler's `sample` only; latents may be anywhere.
    """
    device = guided.model_patcher.load_device
    options = add_frames(extra_args.get("model_options", {}))
    if options.pop("context_handler", None) is not None:
        log.warning("Zoetrope: context windows on this MODEL are not used; a long shot has windows of its own")
    told = options["transformer_options"]
    motions = motion_options(told)
    if inner:
        add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, INNER, inner, options, is_model_options=True)
    if schedules.cfg:
        _check_guidance(guided, options)
        options["sampler_post_cfg_function"] = [_cfg_by_frame(schedules.cfg), *options.get("sampler_post_cfg_function", ())]
        options["disable_cfg1_optimization"] = True

    def denoise(x: Tensor, sigma: Tensor, frame: Tensor, **more: Any) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        numbers = frame.tolist()
        told[KEY] = numbers
        told.update(motions(numbers, window or len(numbers), schedules.strength), **more)
        return guided(x.to(device), sigma.to(device), model_options=options, seed=extra_args.get("seed"))

    return denoise


def motion_options(told: dict[str, Any], clip: int = 0) -> Callable[[list[int], int, Numbers | None], dict[str, Any]]:
    """The motion modules' options of a run, as a function of (frame numbers of the rows, window, strength by frame).

    clip   length over which lists of fewer values are spread; 0: they hold a value per frame
    """
    usual = {key: dict(value) for key, value in told.items() if key.startswith(MOTION + ".")}
    for own in usual.values():
        for name in ("strength", "amount"):
            if clip and isinstance(own.get(name), Tensor) and 1 < len(own[name]) < clip:
                own[name] = spread(own[name], clip)

    def at(numbers: list[int], window: int, strength: Numbers | None) -> dict[str, Any]:
        return {key: _motion_at(value, numbers, window, strength) for key, value in usual.items()}

    return at


def _motion_at(own: dict[str, Any], numbers: list[int], window: int, strength: Numbers | None) -> dict[str, Any]:
    """A motion module's options for these rows: clips of one window, lists by absolute frame, the last one holding on."""
    at = {**own, "frames": window}
    for name in ("strength", "amount"):
        if isinstance(own.get(name), Tensor) and len(own[name]) > 1:
            at[name] = rows_at(own[name], numbers)
    if strength:
        at["strength"] = at["strength"] * torch.tensor([strength.at(number) for number in numbers]).reshape(-1, 1, 1)
    return at


def _check_guidance(guided: Any, options: dict[str, Any]) -> None:
    """Guidance by frame is that of plain classifier-free guidance; anything else would be silently wrong."""
    plain = type(guided).predict_noise is comfy.samplers.CFGGuider.predict_noise and guided.conds.get("negative") is not None
    if not plain or "sampler_cfg_function" in options:
        which = "a node that rescales guidance (RescaleCFG and the like)" if plain else f"the guider {type(guided).__name__}"
        raise ValueError(
            f"cfg_by_frame works with positive, negative and plain guidance, not with {which}. "
            "Empty cfg_by_frame, or use a CFGGuider."
        )


def _cfg_by_frame(cfg: Numbers) -> Callable[[dict[str, Any]], Tensor]:
    """What the guidance of each frame adds to that of the guider: linear, so right for classifier-free guidance."""

    def post_cfg(args: dict[str, Any]) -> Tensor:
        numbers = args["model_options"]["transformer_options"].get(KEY)
        if numbers is None:
            return args["denoised"]
        wanted = torch.tensor([cfg.at(number) for number in numbers]).to(args["denoised"]).reshape(-1, 1, 1, 1)
        return args["denoised"] + (wanted - args["cond_scale"]) * (args["cond_denoised"] - args["uncond_denoised"])

    return post_cfg


class LongShot(comfy.samplers.Sampler):
    """A sampler that shows the model windows of its own, whatever the latent's length (see `comfyui_hooks`)."""

    has_own_windows = True


class Rounds(LongShot):
    """Hands the guider, ready to run, to a function: the host calls a sampler once, a shot is sampled in rounds."""

    def __init__(
        self, work: Callable[[Callable[..., Tensor]], None], window: int, schedules: Schedules, inner: Inner | None = None
    ):
        self._work, self._window, self._schedules, self._inner = work, window, schedules, inner

    def sample(
        self, model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Tensor, latent_image: Any = None,
        denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        self._work(denoiser(model_wrap, extra_args, self._window, self._schedules, self._inner))
        return noise


class FifoSampler(LongShot):
    """All frames of a shot at once, for SamplerCustomAdvanced: returns as many as it was told, whatever the latent has.

    An empty latent starts from a base clip or from noise (`queue.start`); other latents are frames to go on after.
    """

    def __init__(self, queue: Queue, frames: int, schedules: Schedules, published: bool):
        self._queue, self._frames, self._schedules, self._published = queue, frames, schedules, published

    def sample(
        self, model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Tensor, latent_image: Any = None,
        denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        if denoise_mask is not None:
            raise ValueError("a long shot takes no noise mask; remove Set Latent Noise Mask")
        table = getattr(model_wrap.inner_model.model_sampling, "sigmas", None)
        shape = self._queue.shape(table, None if self._published else sigmas)
        rows = shape.window * self._queue.windows_per_call
        if len(noise) < rows:
            log.info(
                "Zoetrope: memory is set aside for %d frames; a latent of %d would say how much is needed", len(noise), rows
            )
        own = FrameNoise(extra_args.get("seed") or 0, tuple(noise.shape[1:]))
        denoise = denoiser(model_wrap, extra_args, shape.window, self._schedules)
        given = latent_image if latent_image is not None and bool(latent_image.any()) else None
        start = begin(denoise, shape, own, self._queue.start, given)
        made = list(start.finished[: self._frames].to(noise))
        shot = fifo.run(denoise, start.queue.to(noise), shape, own.at, start.frame, self._queue.windows_per_call, given)
        while len(made) < self._frames:
            frame, latent, _ = next(shot)
            if frame >= 0:
                made.append(latent.to(noise))
            if callback is not None:
                shown = torch.stack(made) if len(made) == self._frames else latent[None]
                callback(frame - start.frame, shown, shown, self._frames - start.frame)
        return torch.stack(made)
