"""A shot's plan in ComfyUI: a few real calls of the model and one of the VAE, then arithmetic."""

from collections.abc import Iterator
from pathlib import Path

import comfy.model_management
import torch

from ....sampling import fifo
from ....sampling.noise import FrameNoise
from ....sampling.queue import trial_call, work_before
from ....shots.measure import disk_free, ram, seconds_of, written
from ....shots.plan import Measured, Plan, Work
from .inputs import ShotInputs, ShotRequest
from .sampler import Progress, ShotSampler
from .shot import shape_for


def plan(inputs: ShotInputs, request: ShotRequest, folder: Path) -> Plan:
    """Measures calls with one, two, four ... windows, as many as an iteration has and the device can hold."""
    shape = shape_for(inputs, request)
    sampler = ShotSampler(inputs, request, shape, Progress(None, request.frames))
    shared: dict[int, float] = {}
    peak: list[int] = []
    free, noise = _free(), FrameNoise(0, inputs.latent)

    def measurements() -> Iterator[int]:
        for together in _counts(len(shape.windows())):
            call = trial_call(shape, noise, together)
            try:
                shared[together] = seconds_of(lambda: _settled(sampler.host.live(*call))) / together  # noqa: B023
            except comfy.model_management.OOM_EXCEPTION:
                if together == 1:
                    raise
                return
            if together == 1:
                peak.append(_peak())
            yield together

    sampler.host.run(measurements())
    latent = noise.at(0, 0)
    decode = seconds_of(lambda: sampler.decode(latent))
    write, video_bytes = written(sampler.decode(latent), request.fps)
    measured = Measured(
        shared.get(request.queue.windows_per_call, shared[1]), shared, decode + write, peak[0] if free else None, free or None,
        ram(), int(comfy.model_management.total_ram * 2**20), disk_free(folder), video_bytes,
    )  # fmt: skip
    return Plan(work_of(shape, request, inputs), measured)


def work_of(shape: fifo.FifoLayout, request: ShotRequest, inputs: ShotInputs) -> Work:
    base_calls, warm_up = work_before(shape, request.given is None and request.queue.start == "base clip")
    c, h, w = inputs.latent
    return Work(request.frames, warm_up, fifo.calls_per_frame(shape), base_calls, c * h * w, shape.places)


def _counts(most: int) -> list[int]:
    """1, 2, 4 ... and all."""
    return sorted({*(count for count in (1, 2, 4, 8, 16) if count < most), most})


def _settled(value: torch.Tensor) -> None:
    """A GPU's work is done when its result is here."""
    value.flatten()[:1].cpu()


def _free() -> int:
    device = comfy.model_management.get_torch_device()
    if device.type != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats(device)
    return comfy.model_management.get_free_memory(device) + torch.cuda.memory_allocated(device)


def _peak() -> int:
    device = comfy.model_management.get_torch_device()
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
