"""Streaming sampler for clips of any length: every step in overlapping windows, in the memory of one window per step.

The result of a step for a frame depends only on the frames of its windows. So steps are a chain of generators, each of which
holds one window: the first takes noisy frames one at a time, the last yields clean ones. The result equals averaging all
windows of the clip at every step (MultiDiffusion, arXiv 2302.08113; Upscale-A-Video, arXiv 2312.06640); no window is run
twice, and the length of the clip need not be known.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

from torch import Tensor

from .windowing import TimeRatio, WindowSpec, cut_stream, join_stream

Work = Callable[[Tensor, float, Sequence[int]], Tensor]
"""(frames `(f, k, h, w)`, noise level, their numbers) -> predicted clean frames `(f, c, h, w)`; the first c of the k
channels are the noisy frames, the others further inputs of each."""


def euler_stream(work: Work, frames: Iterable[Tensor], sigmas: Tensor, cut: WindowSpec) -> Iterator[Tensor]:
    """Removes the noise of frames `(k, h, w)`, one at a time in and out (Euler's method, which is DDIM with eta 0).

    sigmas   noise levels `(steps + 1,)`, falling; the first is that of the frames
    cut      size and overlap of windows, cross-faded; the last window starts earlier, so that it is as long as the others
    """
    levels = sigmas.tolist()
    if len(levels) < 2 or any(a <= b for a, b in zip(levels, levels[1:], strict=False)):
        raise ValueError(f"sigmas: expected two or more, falling, got {[round(level, 3) for level in levels[:4]]}")
    for now, after in zip(levels, levels[1:], strict=False):
        frames = _step(work, frames, now, after, cut)
    return iter(frames)


def _step(work: Work, frames: Iterable[Tensor], now: float, after: float, cut: WindowSpec) -> Iterator[Tensor]:
    def advanced() -> Iterator[tuple[int, Tensor]]:
        for start, window in cut_stream(frames, cut, TimeRatio()):
            clean = work(window, now, range(start, start + len(window)))
            window = window.clone()
            noisy = window[:, : clean.shape[1]]
            noisy += (noisy - clean) * ((after - now) / now)
            yield start, window

    return join_stream(advanced(), cut.overlap, fade=True)
