"""Decoding of a stream of latents without end, in windows at fixed latent numbers.

Window k begins at latent k * (size - overlap), whatever has been sampled, stored or decoded before. So the frames do not depend
on pauses or on the length of the stream, and a decoder that is started again anywhere gives the same bits, without a state. But
a frame is final only when every window that contains it is complete: up to size - 1 more latents are needed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count, islice

from torch import Tensor

from .windowing import TimeRatio, WindowSpec, fitting, join_stream


@dataclass(frozen=True)
class Pieces:
    """Windows of a decoder. By default it decodes every latent to one frame, without its neighbours."""

    ratio: TimeRatio = field(default_factory=TimeRatio)
    cut: WindowSpec = field(default_factory=lambda: WindowSpec(1))

    def __post_init__(self) -> None:
        object.__setattr__(self, "cut", fitting(self.cut, self.ratio))

    def final(self, latents: int) -> int:
        """Number of frames that are final once the first `latents` latents exist."""
        whole = 0 if latents < self.cut.size else (latents - self.cut.size) // self._stride + 1
        return whole * self._frames_apart

    def latents(self, frames: int) -> int:
        """Number of latents after which the first `frames` frames are final."""
        whole = -(-frames // self._frames_apart)
        return (whole - 1) * self._stride + self.cut.size if whole else 0

    def decoded(
        self, work: Callable[[Tensor, int], Tensor], latents: Callable[[int, int], Tensor], start: int
    ) -> Iterator[Tensor]:
        """Yields frames from number `start` on, without end; a frame must be final when it is requested.

        work      `(latents (size, ...), window number)` -> frames `(ratio.frames(size), ...)`
        latents   `(first, stop)` -> the latents with these numbers `(stop - first, ...)`
        """
        length = self.ratio.frames(self.cut.size)
        first = max(0, (start - length) // self._frames_apart + 1)

        def windows() -> Iterator[tuple[int, Tensor]]:
            for number in count(first):
                begin = number * self._stride
                yield number * self._frames_apart, work(latents(begin, begin + self.cut.size), number)

        joined = join_stream(windows(), self.ratio.frames(self.cut.overlap), self.cut.fade)
        return islice(joined, start - first * self._frames_apart, None)

    @property
    def _stride(self) -> int:
        """Latents from one window to the next."""
        return self.cut.size - self.cut.overlap

    @property
    def _frames_apart(self) -> int:
        """Frames from one window to the next."""
        return self.ratio.start(self._stride)
