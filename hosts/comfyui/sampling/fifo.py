"""The FIFO queue as the host's SAMPLER: a guider call per group of windows, with a noise level and frame number per row."""

import logging
from typing import Any

import torch
from torch import Tensor

from ....sampling import fifo
from ....sampling.known import Loop, before
from ....sampling.noise import FrameNoise
from ....sampling.queue import QueueSettings, Schedules, begin
from ....sampling.tail import CoherentTail
from ....sampling.windowing import TimeRatio
from ..conditioning.timeline import cuts_of
from ..dit.model import as_clip, by_frame, dit_of, given_level
from ..latents import check_latent
from .guider import LongShot, denoiser
from .known import masked
from .layouts import layout_for, presets_for

log = logging.getLogger(__name__)


def tail_of(queue: QueueSettings, guider: Any) -> CoherentTail | None:
    """Coherent tail of a queue, interrupted by hard cuts in the guider's prompt timelines; None where it is off."""
    return queue.tail(cuts_of(getattr(guider, "original_conds", {})))


class FifoSampler(LongShot):
    """Samples a shot for SamplerCustomAdvanced; returns `frames` latents, whatever the batch size of the input.

    An empty latent starts from a base clip or from noise (`queue.start`); other latents are continued or, with a noise mask,
    kept outside it. The latents of a video transformer are a clip `(1, c, f, h, w)`.

    queue       settings, or the name of a preset
    published   whether to use the levels of the preset instead of those of the sampling
    loop        whether the shot ends where it begins
    """

    def __init__(self, queue: QueueSettings | str, frames: int, schedules: Schedules, published: bool, loop: bool = False):
        self._queue, self._frames, self._schedules, self._published = queue, frames, schedules, published
        self._closed = loop

    def sample(
        self, model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Tensor, latent_image: Any = None,
        denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        model = model_wrap.model_patcher
        dit = dit_of(model)
        if dit is None:
            check_latent(noise, model)
            return self._sampled(model_wrap, sigmas, extra_args, callback, noise, latent_image, denoise_mask, self._frames)
        if self._closed:
            raise ValueError(
                "loop: not available with this MODEL: its first latent is a single frame, which the end cannot meet"
            )
        if self._schedules.strength:
            raise ValueError("strength_by_frame: not available with this MODEL: it has no motion module")
        if callback is not None:
            callback = _of_clips(callback)
        count = TimeRatio(dit.each).latents(self._frames)
        given, mask = (None if part is None else by_frame(part) for part in (latent_image, denoise_mask))
        return as_clip(self._sampled(model_wrap, sigmas, extra_args, callback, by_frame(noise), given, mask, count))

    def _sampled(
        self, model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Tensor, latent_image: Tensor | None,
        denoise_mask: Tensor | None, count: int,
    ) -> Tensor:  # fmt: skip
        """`count` latents `(f, c, h, w)`; all tensors by frame."""
        model = model_wrap.model_patcher
        queue = presets_for(model)[self._queue] if isinstance(self._queue, str) else self._queue
        shape = layout_for(model, queue, None if self._published else sigmas)
        _advise(len(noise), shape.window * queue.windows_per_call)
        frame_noise = FrameNoise(extra_args.get("seed") or 0, tuple(noise.shape[1:]))
        denoise = denoiser(model_wrap, extra_args, shape.window, self._schedules)
        given = latent_image if latent_image is not None and bool(latent_image.any()) else None
        known, loop = [], Loop(count, shape.window) if self._closed else None
        level, clip = given_level(dit_of(model)), dit_of(model) is not None
        if denoise_mask is not None:  # the host has scaled it to the latents
            kept = torch.zeros_like(noise) if given is None else given
            known, given = [masked(kept, denoise_mask.amax(1), 1, level, not clip)], None
        elif given is not None:
            known = [before(given, level)]
        start = begin(denoise, shape, frame_noise, queue.start, given, known, loop)
        finished = list(start.finished[:count].to(noise))
        tail, together = tail_of(queue, model_wrap), queue.windows_per_call
        shot = fifo.run(denoise, start.queue.to(noise), shape, frame_noise.at, start.frame, together, known, tail, loop)
        while len(finished) < count:
            frame, latents, _ = next(shot)
            finished += latents[max(0, -frame) :].to(noise)
            if callback is not None:
                preview = torch.stack(finished[:count]) if len(finished) >= count else latents[-1:]
                callback(frame - start.frame, preview, preview, count - start.frame)
        return torch.stack(finished[:count])


def _of_clips(callback: Any) -> Any:
    """A sampler's callback for latents by frame, whose previews are of clips."""
    return lambda step, clean, x, steps: callback(step, as_clip(clean), as_clip(x), steps)


def _advise(given: int, rows: int) -> None:
    """Logs that the host reserves too little memory for a call of `rows` frames. given: frames of the latent."""
    if given < rows:
        log.info(
            "Zoetrope: the latent has %d frames, the queue samples %d per call; if memory runs out, make the empty latent that "
            "long (batch_size, or length), so that ComfyUI reserves enough",
            given,
            rows,
        )
