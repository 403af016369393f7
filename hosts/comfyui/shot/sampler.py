"""Sampler of a recording in ComfyUI: the queue through any guider in rounds, decoding between them, and progress."""

import time
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import Protocol

import comfy.model_management
import torch

from ....sampling import fifo
from ....sampling.known import Known, Loop, before
from ....sampling.layout import FifoLayout
from ....sampling.noise import FrameNoise
from ....sampling.pieces import Pieces
from ....sampling.queue import InitialQueue, beginning
from ....shots.journal import Journal, State
from ....shots.sinks import DecodedFrame, Step
from ..latents import side_of
from ..sampling.fifo import tail_of
from ..sampling.known import masked
from ..sampling.rounds import RoundRunner
from ..vae.chunked import check_frame_by_frame
from .anchor import ShotAnchor
from .decoder import ShotDecoder
from .inputs import ShotInputs, ShotRequest


class ProgressListener(Protocol):
    """Receives the events of a shot."""

    def opening(self, folder: str, resumed: int, reason: Sequence[str]) -> None:
        """The run begins. folder: of the shot; resumed: frames that exist already; reason: why it is a new shot, else empty."""

    def starting(self, step: int, steps: int) -> None:
        """A sampling step of the base clip is done, before the first frame."""

    def progress(self, frame: int, done: int, total: int, decoded: DecodedFrame | None, seconds_left: float) -> None:
        """A latent is sampled, or a frame decoded.

        frame         number of frames sampled, negative during warm-up
        done, total   latents of this run, with warm-up
        decoded       the frame, if one was decoded
        """


class Progress:
    """Counts the latents of a run, with warm-up, and estimates the time left."""

    def __init__(self, listener: ProgressListener | None, frames: int, pieces: Pieces):
        self._listener, self._frames, self._ratio = listener, frames, pieces.ratio
        self._latents = pieces.latents(frames)
        self._first: int | None = None
        self._next = 0
        self._started = time.monotonic()

    def begun(self, latent: int) -> None:
        """Sets the first latent that this run finishes; later calls have no effect."""
        if self._first is None:
            self._first = self._next = min(latent, self._latents)

    def starting(self, step: int, steps: int) -> None:
        if self._listener:
            self._listener.starting(step, steps)

    def stepped(self, latent: int) -> None:
        """Sets the next latent."""
        self._next = min(latent, self._latents)
        self._notify(None)

    def frame_decoded(self, decoded: DecodedFrame) -> None:
        self._notify(decoded)

    def _notify(self, decoded: DecodedFrame | None) -> None:
        first = self._latents if self._first is None else self._first
        done, total = self._next - first, self._latents - first
        frame = self._next if self._next <= 0 else min(self._frames, self._ratio.frames(self._next))
        left = (time.monotonic() - self._started) / done * (total - done) if done else 0.0
        if self._listener:
            self._listener.progress(frame, done, total, decoded, left)


class ShotSampler(ShotDecoder):
    """A guider of the host as a `shots.record.Sampler`."""

    def __init__(self, inputs: ShotInputs, request: ShotRequest, shape: FifoLayout, listener: ProgressListener | None):
        self._anchor = ShotAnchor(request.anchor, inputs) if request.anchor else None
        inputs = self._anchor.inputs if self._anchor else inputs
        super().__init__(inputs, request.continued)
        self.progress = Progress(listener, request.frames, self.pieces)
        self._inputs, self._request, self._shape = inputs, request, shape
        self._noise = FrameNoise(request.seed, inputs.latent)
        together = request.queue.windows_per_call
        self._given = None if request.continued is None else inputs.latent_in(request.continued)
        self._known, self._loop = self._given_latents(), self._closed()
        fewer = f"windows_per_call (now {together}) in Queue Settings, then " if together > 1 else ""
        self.host = RoundRunner(
            inputs.guider, inputs.latent, shape.window * together,
            torch.cat([shape.sigmas.flip(0), torch.tensor([shape.last])]), request.seed,
            f"{fewer}window (now {shape.window}), then width and height", shape.window, request.schedules,
            "Finished frames are kept.",
        )  # fmt: skip

    def resume(self, journal: Journal) -> None:
        """Takes the journal, and what a resumed shot needs of its finished frames."""
        self._journal, state = journal, journal.state()
        self._next = state.frame if state else 0
        if self._loop:
            self._loop.finish(0, journal.first(self._shape.window))

    def _given_latents(self) -> list[Known]:
        """All given latents, in the sampler's scale."""
        request, inputs = self._request, self._inputs
        known = [] if self._given is None else [before(self._given, inputs.given_level)]
        if request.mask is not None and request.given is not None:
            given, side = inputs.latent_in(request.given), side_of(inputs.vae)
            known.append(masked(given, request.mask.cpu(), side, inputs.given_level, not inputs.is_clip))
        if request.keyframes:
            check_frame_by_frame(inputs.vae, "keyframes")
            last = max(request.keyframes.frames)
            if request.loop and last >= request.frames:
                raise ValueError(f"keyframes: expected frames 0 to {request.frames - 1} in this closed loop, got {last}")
            known.append(request.keyframes.known(inputs.model, inputs.vae, inputs.latent[1:]))
        return known

    def _closed(self) -> Loop | None:
        if not self._request.loop:
            return None
        check_frame_by_frame(self._inputs.vae, "loop")
        return Loop(self._request.frames, self._shape.window)

    def steps(self, state: State | None) -> Iterator[Step]:
        if state is None:
            start = self._start()
            state = State(start.frame, start.queue, start.finished)
            self.progress.begun(state.frame)
            yield Step(state.frame, state.queue, state.pending)
        self.progress.begun(state.frame)
        queue, together = state.queue.to(comfy.model_management.get_torch_device()), self._request.queue.windows_per_call
        tail = tail_of(self._request.queue, self._inputs.guider)
        noise, known = self._noise.at, self._known
        run = fifo.run(self.host.live, queue, self._shape, noise, state.frame, together, known, tail, self._loop)
        yield from starmap(Step.of_queue, run)

    def _start(self) -> InitialQueue:
        start, known = self._request.queue.start, self._known
        for event in beginning(self.host.live, self._shape, self._noise, start, self._given, known, self._loop):
            if isinstance(event, InitialQueue):
                return event
            self.progress.starting(event, len(self._shape.sigmas))
        raise AssertionError("beginning() must end with the initial queue")

    def rounds(self, streams: Iterator[Iterator[Step]]) -> Iterator[None]:
        for steps in streams:
            if self._anchor:
                self._anchor.update(self._next, self._journal, self)
            self.park()
            self.host.run(self._counted(steps))
            yield

    def _counted(self, steps: Iterator[Step]) -> Iterator[Step]:
        for step in steps:
            self._next = step.frame
            self.progress.stepped(step.frame)
            yield step
