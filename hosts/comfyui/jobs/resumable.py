"""Jobs whose unfinished runs are continued, and whose time, memory and disk space are estimated."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import comfy.model_management
from torch import Tensor

from ....shots.journal import Scalar
from ....shots.measure import disk_free, ram, written
from ....shots.plan import JobPlan, Measured
from ..environment import free_memory, peak_memory
from .job import FinishedStage, Job, finished_earlier
from .unfinished import Unfinished

Make = Callable[[Iterable[Tensor], Unfinished], Iterable[Tensor]]
"""(frames of the source `(3, h, w)`, the run) -> frames of the new video."""


@dataclass(frozen=True)
class Amount:
    """Expected amount of work."""

    frames: int
    """Frames of the new video."""
    calls: int
    """Windows of all steps."""
    steps: int
    window: int
    """Frames of the source in a window."""


@dataclass(frozen=True)
class ResumableJob:
    """A job whose unfinished run is stored beside the videos of its name, and continued by a run with the same settings."""

    job: Job
    settings: Mapping[str, Any]
    """All settings that the pixels depend on."""
    apart: Collection[str]
    """Names of settings that latents do not depend on."""
    made_with: Mapping[str, Scalar]

    def run(self, make: Make, amount: Amount) -> FinishedStage:
        """As `Job.run`."""
        job, started, calls = self.job, time.monotonic(), amount.calls
        of_latents = {name: value for name, value in self.settings.items() if name not in self.apart}

        def progress(done: int) -> None:
            job.resumed = run.frames
            job.node_progress.rounds(done, calls, time.monotonic() - started, run.calls, finished_earlier(run.frames))

        def made(source: Iterable[Tensor]) -> Iterable[Tensor]:
            return job.node_progress.previewed(make(source, run))

        run = Unfinished(lambda sizes: job.journal(sizes, of_latents, self.made_with), progress, job.node_progress.note)
        with run:
            return job.run(made, amount.frames, self.settings, counted=False)

    def plan(self, make: Make, amount: Amount) -> JobPlan:
        """Estimates the job from runs over its first window, of which the first one is to warm up.

        make   as for `run`, with a single step
        """
        source, free = list(islice(self.job.clip.frames, amount.window)), free_memory()
        _Trial(make, source)
        trial = min((_Trial(make, source) for _ in range(2)), key=lambda trial: trial.call)
        write, video_bytes = written(trial.picture, float(self.job.fps))
        measured = Measured(
            trial.call, {}, trial.frame + write, peak_memory() if free else None, free or None, ram(),
            int(comfy.model_management.total_ram * 2**20), disk_free(self.job.folder), video_bytes,
        )  # fmt: skip
        return JobPlan(amount.frames, amount.calls, trial.run.places * amount.steps, trial.run.values, measured)


class _Trial:
    """A run over a few frames, with its seconds per model call and, for everything else, per frame."""

    def __init__(self, make: Make, source: list[Tensor]):
        self.run, started = Unfinished(), time.monotonic()
        pictures = list(make(iter(source), self.run))
        self.picture = pictures[-1]
        self.call = self.run.seconds / self.run.called
        self.frame = max(0.0, time.monotonic() - started - self.run.seconds) / len(pictures)
