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
from ..conditioning.timeline import cuts_of
from ..latents import check_latent
from .guider import LongShot, denoiser
from .known import masked

log = logging.getLogger(__name__)


def tail_of(queue: QueueSettings, guider: Any) -> CoherentTail | None:
    """Coherent tail of a queue, interrupted by hard cuts in the guider's prompt timelines; None where it is off."""
    return queue.tail(cuts_of(getattr(guider, "original_conds", {})))


class FifoSampler(LongShot):
    """Samples a shot for SamplerCustomAdvanced; returns `frames` latents, whatever the batch size of the input.

    An empty latent starts from a base clip or from noise (`queue.start`); other latents are continued or, with a noise mask,
    kept outside it. loop: whether the shot ends where it begins.
    """

    def __init__(self, queue: QueueSettings, frames: int, schedules: Schedules, published: bool, loop: bool = False):
        self._queue, self._frames, self._schedules, self._published = queue, frames, schedules, published
        self._closed = loop

    def sample(
        self, model_wrap: Any, sigmas: Any, extra_args: Any, callback: Any, noise: Tensor, latent_image: Any = None,
        denoise_mask: Any = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        check_latent(noise, model_wrap.model_patcher)
        table = getattr(model_wrap.inner_model.model_sampling, "sigmas", None)
        shape = self._queue.layout(table, None if self._published else sigmas)
        rows = shape.window * self._queue.windows_per_call
        if len(noise) < rows:
            log.info(
                "Zoetrope: the latent has batch_size %d, the queue samples %d frames per call; if memory runs out, set "
                "batch_size to %d, so that ComfyUI reserves enough",
                len(noise),
                rows,
                rows,
            )
        frame_noise = FrameNoise(extra_args.get("seed") or 0, tuple(noise.shape[1:]))
        denoise = denoiser(model_wrap, extra_args, shape.window, self._schedules)
        given = latent_image if latent_image is not None and bool(latent_image.any()) else None
        known, loop = [], Loop(self._frames, shape.window) if self._closed else None
        if denoise_mask is not None:  # the host has scaled it to the latents
            known = [masked(torch.zeros_like(noise) if given is None else given, denoise_mask.amax(1), 1)]
            given = None
        elif given is not None:
            known = [before(given)]
        start = begin(denoise, shape, frame_noise, self._queue.start, given, known, loop)
        finished = list(start.finished[: self._frames].to(noise))
        tail, together = tail_of(self._queue, model_wrap), self._queue.windows_per_call
        shot = fifo.run(denoise, start.queue.to(noise), shape, frame_noise.at, start.frame, together, known, tail, loop)
        while len(finished) < self._frames:
            frame, latents, _ = next(shot)
            finished += latents[max(0, -frame) :].to(noise)
            if callback is not None:
                preview = torch.stack(finished[: self._frames]) if len(finished) >= self._frames else latents[-1:]
                callback(frame - start.frame, preview, preview, self._frames - start.frame)
        return torch.stack(finished[: self._frames])
