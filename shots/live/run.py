"""A live shot while it runs: blocks of a source enter the queue, finished frames are decoded, shown, written and recorded."""

import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ...sampling.live import LiveState, beginning, live_noise, step
from ...sampling.noise import FrameNoise
from ..journal import Journal, Scalar
from ..sinks import Step
from ..videos import VideoSink, decoding_for
from .host import Control, LiveFigures, LiveHost, LiveListener, LiveSettings
from .input import Entering, LiveInput
from .record import Changes, LiveSink, Place, packed, unpacked
from .video import SegmentWriter

log = logging.getLogger(__name__)

NO_END = 1 << 40
MEASURED = 8.0
"""Seconds over which frames per second are averaged."""


@dataclass(frozen=True)
class LiveShot:
    """Result of a live shot."""

    video: Path
    frames: int
    resumed: int
    """Frames that earlier runs finished."""
    calls: int


class LiveRun:
    """Runs a live shot, or continues it. After an error or an interrupt the state is saved and the video is playable.

    frames   number of frames after which it ends; 0: when the source ends
    record   whether the source is stored for a replay
    """

    def __init__(
        self, journal: Journal, settings: LiveSettings, host: LiveHost, listener: LiveListener, fps: float, frames: int = 0,
        record: bool = True, control: Control | None = None, video: Mapping[str, Scalar] | None = None,
    ):  # fmt: skip
        self._settings, self._host, self._listener, self._control = settings, host, listener, control
        self._frames, self._layout = frames or NO_END, settings.layout
        self._noise = live_noise(FrameNoise(settings.seed, journal.sizes.latent).at, settings.same_noise)
        self.changes = Changes(journal.folder / "changes.json", settings.layout)
        stored = journal.state()
        self._state: LiveState | None = None
        self.place = Place()
        """Where the shot is: of its beginning or of the stored state, later of the newest call."""
        if stored:
            calls = stored.position[0] if stored.position else 0
            entered = range(calls - self._layout.levels + 1, calls)
            state, self.place = unpacked(stored, self._layout, [self._levels(max(0, call)) for call in entered])
            self._state = state.to(host.device)
        self._sink = LiveSink(journal, stored, record)
        decoding = decoding_for(journal, {"fps": fps, **(video or {})})
        self._video = VideoSink(self._sink, host, decoding, NO_END, fps)
        self._folder, self._decoding, self._fps = journal.folder, decoding, fps
        self.resumed = self._video.final
        self._moments: deque[tuple[int, float]] = deque()
        """Number and time of arrival of the frames that are not yet shown."""
        self._finished: deque[tuple[float, int]] = deque()
        """Times and numbers of frames, for frames per second."""
        self._delay, self._showing = 0.0, None
        self._input: LiveInput | None = None

    def run(self, entering: LiveInput) -> LiveShot:
        """Runs until the source ends, or until there are enough frames."""
        self._input = entering
        self._writer = SegmentWriter(self._decoding.folder, self._fps, self._sink.journal.sizes.segment)
        self._threads = ThreadPoolExecutor(1, "zoetrope-live-decoder") if self._host.concurrent else None
        try:
            for _ in self._host.rounds(self._streams()):
                pass
            self._finish_writing()
            self._listener.figures(self._figures())
            self._sink.save()
            for _ in self._video.catch_up():
                pass
            frames = self._video.final
            if not frames:
                raise ValueError("the source of this live shot has ended before its first frame")
            path = self._video.joined(frames)
            for _ in self._video.join(frames, path):
                pass
            return LiveShot(path, frames, self.resumed, self.place.calls)
        except BaseException:
            self._save_unfinished()
            raise
        finally:
            if self._threads:
                self._threads.shutdown()

    def _streams(self) -> Iterator[Iterator[None]]:
        """One stream of calls for each set of prompts."""
        while not self._over:
            self._host.prompts(self.changes.prompts(self.place.calls))
            yield self._until_prompts_change()

    @property
    def _over(self) -> bool:
        finished = max(0, self._state.frame) if self._state else 0
        return finished >= (min(self._frames, self.place.used) if self.place.ended else self._frames)

    def _until_prompts_change(self) -> Iterator[None]:
        assert self._input
        prompts = self.changes.prompts(self.place.calls)
        while not self._over:
            self._read_changes()
            if self.changes.prompts(self.place.calls) != prompts:
                return
            entering = None if self.place.ended else self._input.take()
            for note in self._input.notes():
                self._listener.note(note)
            if entering is not None and not entering.used:
                self.place, entering = replace(self.place, ended=True), None
            if self.place.ended and not self._over:
                entering = self._repeated()
            if entering is not None:
                self._call(entering)
            self._listener.figures(self._figures())
            yield
            if self._host.leaving:
                return

    def _repeated(self) -> Entering:
        """A block for a call after the source's end: its last frame again."""
        assert self._state is not None
        last = self._state.rests[-1] if self._sink.last_source is None else self._sink.last_source
        return Entering(last.expand(self._layout.block, *last.shape))

    def _read_changes(self) -> None:
        if self._control is None or self.place.ended:
            return
        try:
            change = self._control.changed(*self.changes.newest(self.place.calls))
            if change is None:
                return
            if change.strength is not None:
                self._check_strength(change.strength)
            if change.prompt is not None:
                self._host.check_prompt(change.prompt)
            self.changes.add(replace(change, call=self.place.calls))
            self._listener.note(f"changed from frame {self.place.calls * self._layout.block} on")
        except ValueError as error:
            self._listener.note(f"not changed: {error}")

    def _check_strength(self, strength: float) -> None:
        if self._settings.sigmas is not None:
            raise ValueError("strength: the noise levels of this shot are given as sigmas, so it has no effect")
        self._settings.levels(strength)

    def _levels(self, call: int) -> Tensor:
        """Noise levels of the block that enters in a call."""
        return self._settings.levels(self.changes.strength(call, self._settings.strength))

    def _call(self, entering: Entering) -> None:
        """One call of the queue."""
        # contiguous, as the record is: kernels, and so bits, may depend on the layout in memory
        latents = entering.latents.contiguous().to(self._host.device)
        levels, before = self._levels(self.place.calls), self._state
        if before is None:
            before = beginning(latents[0], levels, self._layout, self._noise)
        self._sink.enter(entering.latents[: entering.used], entering.numbers)
        self._moments.extend(zip(range(before.entering, before.entering + entering.used), entering.moments, strict=False))
        finished, self._state = step(
            self._host.positive, self._host.negative, before, latents, levels, self._layout, self._noise,
            self._settings.guidance,
        )  # fmt: skip
        place = self.place
        self.place = Place(
            place.calls + 1, place.used + entering.used, (entering.numbers or (place.source,))[-1],
            place.ended or entering.used < self._layout.block,
        )  # fmt: skip
        real = finished[:0] if before.frame < 0 else finished[: max(0, self.place.used - before.frame)]
        number = min(self._state.frame, self.place.used)
        position = self.place.position(self._state)
        self._sink.take(Step(number, packed(self._state, self._layout), real, position))
        self._show(before.frame, real)

    def _show(self, frame: int, latents: Tensor) -> None:
        """Decodes and shows frames, in a thread where the host allows it: one block behind the model at most."""
        if not len(latents):
            return
        self._wait_for_decoder()
        if self._threads:
            self._showing = self._threads.submit(self._decode_and_show, frame, latents)
        else:
            self._decode_and_show(frame, latents)

    def _decode_and_show(self, frame: int, latents: Tensor) -> None:
        pictures = self._host.decode(latents, None)
        now = time.monotonic()
        while self._moments and self._moments[0][0] < frame + len(latents):
            self._delay = now - self._moments.popleft()[1]
        self._finished.append((now, frame + len(latents)))
        while now - self._finished[0][0] > MEASURED:
            self._finished.popleft()
        self._writer.add(frame, pictures)
        self._listener.shown(frame, pictures)

    def _wait_for_decoder(self) -> None:
        showing: Future[None] | None = self._showing
        self._showing = None
        if showing:
            showing.result()

    def _figures(self) -> LiveFigures:
        assert self._input
        (first, before), (last, frames) = (self._finished[0], self._finished[-1]) if self._finished else ((0.0, 0),) * 2
        fps = (frames - before) / (last - first) if last > first else 0.0
        return LiveFigures(max(frames, self.resumed), fps, self._delay, *self._input.counts())

    def _finish_writing(self) -> None:
        self._wait_for_decoder()
        self._writer.close()

    def _save_unfinished(self) -> None:
        """Saves the state and joins the finished frames after an error. A further error is only logged."""
        try:
            self._finish_writing()
            self._sink.save_unfinished()
            self._video.join_unfinished()
        except Exception as error:  # noqa: BLE001  the first error must be raised
            log.warning("Zoetrope: no video of the unfinished shot (%s); its latents are in %s", error, self._folder)
