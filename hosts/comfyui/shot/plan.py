"""A shot's plan in ComfyUI, computed from a few measured calls of the model and the VAE."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import comfy.model_management
import torch

from ....sampling.layout import FifoLayout, calls_per_frame
from ....sampling.noise import FrameNoise
from ....sampling.pieces import Pieces
from ....sampling.queue import trial_call, work_before
from ....shots.measure import disk_free, ram, seconds_of, written
from ....shots.plan import Measured, Plan, Work
from ..environment import free_memory, peak_memory
from .inputs import ShotInputs, ShotRequest
from .sampler import ShotSampler
from .shot import shape_for


def plan(inputs: ShotInputs, request: ShotRequest, folder: Path) -> Plan:
    """Measures calls with 1, 2, 4, ... windows, up to those of an iteration and the device's memory, and estimates the shot."""
    shape = shape_for(inputs, request)
    sampler = ShotSampler(inputs, request, shape, None)
    per_window: dict[int, float] = {}
    peak: list[int] = []
    free, noise = free_memory(), FrameNoise(0, inputs.latent)

    def measurements() -> Iterator[int]:
        for together in _counts(len(shape.windows())):
            call = trial_call(shape, noise, together)
            try:
                per_window[together] = seconds_of(lambda: _synchronise(sampler.host.live(*call))) / together  # noqa: B023
            except comfy.model_management.OOM_EXCEPTION:
                if together == 1:
                    raise
                return
            if together == 1:
                peak.append(peak_memory())
            yield together

    sampler.host.run(measurements())
    pieces = sampler.pieces
    numbers = count()

    def decoded() -> torch.Tensor:
        size = pieces.size(number := next(numbers))
        return sampler.decode(torch.stack([noise.at(frame, 0) for frame in range(size)]), number)

    pictures = decoded()
    decode = seconds_of(decoded) / pieces.frames_of_trial
    write, video_bytes = written(pictures[0], request.fps)
    measured = Measured(
        per_window.get(request.queue.windows_per_call, per_window[1]), per_window, decode + write,
        peak[0] if free else None, free or None, ram(), int(comfy.model_management.total_ram * 2**20), disk_free(folder),
        video_bytes,
    )  # fmt: skip
    return Plan(work_of(shape, request, inputs, pieces), measured)


def work_of(shape: FifoLayout, request: ShotRequest, inputs: ShotInputs, pieces: Pieces) -> Work:
    """Number of model calls and sizes of a shot."""
    base_calls, warm_up = work_before(shape, request.continued is None and request.queue.start == "base clip")
    c, h, w = inputs.latent
    frames, calls = request.frames, calls_per_frame(shape)
    return Work(frames, pieces.latents(frames), pieces.latents(1), warm_up, calls, base_calls, c * h * w, shape.places)


def _counts(most: int) -> list[int]:
    """1, 2, 4, 8, 16 below `most`, and `most`."""
    return sorted({*(count for count in (1, 2, 4, 8, 16) if count < most), most})


def _synchronise(value: torch.Tensor) -> None:
    """Waits for the GPU by copying one value to the CPU."""
    value.flatten()[:1].cpu()
