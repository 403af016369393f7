"""Streaming sampler for clips of any length: every step in overlapping windows, in the memory of one window per step.

The result of a step for a frame depends only on the frames of its windows. So steps are lanes, one behind the other, each of
which holds one window: the first takes noisy frames one at a time, the last returns clean ones. The result equals averaging all
windows of the clip at every step (MultiDiffusion, arXiv 2302.08113; Upscale-A-Video, arXiv 2312.06640); no window is run
twice, and the length of the clip need not be known. Between two frames the lanes can be stored and restored.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from torch import Tensor

from .windowing import Cutter, Joiner, TimeRatio, WindowSpec

Work = Callable[[Tensor, float, Sequence[int]], Tensor]
"""(frames `(f, k, h, w)`, noise level, their numbers) -> predicted clean frames `(f, c, h, w)`; the first c of the k
channels are the noisy frames, the others further inputs of each."""


def calls_of(frames: int, steps: int, cut: WindowSpec) -> int:
    """Number of windows that are computed for a clip, over all steps."""
    return steps * (1 + max(0, -(-(frames - cut.size) // (cut.size - cut.overlap))))


def euler_stream(work: Work, frames: Iterable[Tensor], sigmas: Tensor, cut: WindowSpec) -> Iterator[Tensor]:
    """Removes the noise of frames `(k, h, w)`, one at a time in and out, as `EulerSteps`."""
    steps = EulerSteps(work, sigmas, cut)

    def passed() -> Iterator[Tensor]:
        for frame in frames:
            yield from steps.push(frame)
        for finished in steps.finish():
            yield from finished

    return passed()


class EulerSteps:
    """Removes the noise of a clip's frames `(k, h, w)` by Euler's method, which is DDIM with eta 0.

    sigmas   noise levels `(steps + 1,)`, falling; the first is that of the frames
    cut      size and overlap of windows, cross-faded; the last window starts earlier, so that it is as long as the others
    """

    def __init__(self, work: Work, sigmas: Tensor, cut: WindowSpec):
        levels = sigmas.tolist()
        if len(levels) < 2 or any(a <= b for a, b in zip(levels, levels[1:], strict=False)):
            raise ValueError(f"sigmas: expected two or more, falling, got {[round(level, 3) for level in levels[:4]]}")
        self._lanes = [_Lane(self._counted, now, after, cut) for now, after in zip(levels, levels[1:], strict=False)]
        self._work, self._room = work, 2 * cut.size - 1  # of a lane: up to size + stride - 1 frames held, and the overlap
        self.entered = self.calls = self._ended = 0
        """Numbers of frames that were pushed, of calls of `work`, and of lanes that were finished."""

    @property
    def lanes(self) -> int:
        return len(self._lanes)

    @property
    def done(self) -> bool:
        """Whether all frames have left."""
        return self._ended == self.lanes

    @property
    def oldest(self) -> int:
        """Number of the first frame that later windows may contain."""
        return self._lanes[-1].cutter.latent

    @property
    def places(self) -> int:
        """Number of frames in a stored state."""
        return self.lanes * self._room

    def push(self, frame: Tensor) -> list[Tensor]:
        """The frames that are finished after this one has entered."""
        self.entered += 1
        return self._through([frame], 0)

    def finish(self) -> Iterator[list[Tensor]]:
        """The remaining frames, lane by lane; the state may be stored between two of them."""
        while not self.done:
            finished = self._through(self._lanes[self._ended].rest(), self._ended + 1)
            self._ended += 1
            yield finished

    def state(self, shape: Sequence[int]) -> tuple[Tensor, tuple[int, ...]]:
        """Frames in the lanes `(places, k, h, w)`, and counters. shape: k h w."""
        stored, counters = torch.zeros(self.lanes, self._room, *shape), [self.entered, self.calls, self._ended]
        for room, lane in zip(stored, self._lanes, strict=True):
            frames, counts = lane.state()
            for place, frame in zip(room, frames, strict=False):
                place.copy_(frame)
            counters += counts
        return stored.flatten(0, 1), tuple(counters)

    def restore(self, frames: Tensor, counters: Sequence[int]) -> None:
        """Continues from a stored state."""
        self.entered, self.calls, self._ended = counters[:3]
        for number, (lane, room) in enumerate(zip(self._lanes, frames.split(self._room), strict=True)):
            lane.restore(room, counters[3 + 4 * number : 7 + 4 * number])

    def _through(self, frames: list[Tensor], first: int) -> list[Tensor]:
        for lane in self._lanes[first:]:
            frames = [left for frame in frames for left in lane.push(frame)]
        return frames

    def _counted(self, window: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        self.calls += 1
        return self._work(window, sigma, numbers)


class _Lane:
    """One step over the frames of a clip."""

    def __init__(self, work: Work, now: float, after: float, cut: WindowSpec):
        self._work, self._now, self._after = work, now, after
        self.cutter, self._joiner = Cutter(cut, TimeRatio()), Joiner(cut.overlap, fade=True)

    def push(self, frame: Tensor) -> list[Tensor]:
        return self._stepped(self.cutter.push(frame))

    def rest(self) -> list[Tensor]:
        return [*self._stepped(self.cutter.finish()), *self._joiner.finish()]

    def _stepped(self, windows: list[tuple[int, Tensor]]) -> list[Tensor]:
        finished: list[Tensor] = []
        for start, window in windows:
            clean = self._work(window, self._now, range(start, start + len(window)))
            window = window.clone()
            noisy = window[:, : clean.shape[1]]
            noisy += (noisy - clean) * ((self._after - self._now) / self._now)
            finished += self._joiner.push(start, window)
        return finished

    def state(self) -> tuple[list[Tensor], list[int]]:
        held, tail = self.cutter.held, [] if self._joiner.tail is None else [*self._joiner.tail]
        return [*held, *tail], [self.cutter.latent, len(held), self._joiner.end, len(tail)]

    def restore(self, frames: Tensor, counters: Sequence[int]) -> None:
        self.cutter.latent, held, self._joiner.end, tail = counters
        self.cutter.held = [*frames[:held]]
        self._joiner.tail = frames[held : held + tail] if tail else None
