"""Decoding of a stream of latents without end, in windows or pieces at fixed latent numbers.

Window k begins at latent k * (size - overlap), whatever has been sampled, stored or decoded before. So the frames do not depend
on pauses or on the length of the stream, and a decoder that is started again anywhere gives the same bits, without a state. But
a frame is final only when every window that contains it is complete: up to size - 1 more latents are needed.

A causal decoder with a state decodes pieces without overlap. Started again, it first decodes the latents that the state depends
on, and their frames are dropped: the same bits again, and no state is stored.
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

    def size(self, number: int) -> int:
        """Latents of a window."""
        return self.cut.size

    @property
    def frames_of_trial(self) -> int:
        """Frames that a window after the first one makes final, for timing."""
        return self.final(self.cut.size)

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


@dataclass(frozen=True)
class CarriedPieces(Pieces):
    """Pieces of a causal decoder that carries a state from piece to piece: latent 0, then `each` latents at a time.

    Where the stream continues other latents (`ratio.first` is `ratio.each`), latent 0 is not alone.
    """

    each: int = 1
    """Latents per piece, the first one aside."""
    back: int = 0
    """Latents before a piece that its frames depend on, through the state."""

    @property
    def alone(self) -> int:
        """Latents of the first piece that are not part of the others: 1, or 0 where the stream continues other latents."""
        return int(self.ratio.first < self.ratio.each)

    def final(self, latents: int) -> int:
        more = latents - self.alone
        return self.ratio.frames(self.alone + more // self.each * self.each) if more >= 0 else 0

    def latents(self, frames: int) -> int:
        more = self.ratio.latents(frames) - self.alone
        return self.alone + -(-more // self.each) * self.each if frames else 0

    def size(self, number: int) -> int:
        return self.each if number or not self.alone else 1

    @property
    def frames_of_trial(self) -> int:
        return self.ratio.each * self.each

    def decoded(
        self, work: Callable[[Tensor, int], Tensor], latents: Callable[[int, int], Tensor], start: int
    ) -> Iterator[Tensor]:
        """As in `Pieces`. work begins without a state where `number` is not that after the last piece, or the piece is short.

        The first piece of a decoder without a state is one latent; but piece 0 is whole.
        """
        wanted = -(-(self.ratio.latents(start + 1) - self.alone) // self.each) + self.alone - 1
        first = max(0, (self._begin(wanted) - self.back + 1 - self.alone) // self.each - 1 + self.alone)
        for number in count(first):
            stop = self._begin(number) + self.size(number)
            begin = stop - 1 if number == first and first else self._begin(number)
            frames = work(latents(begin, stop), number)
            yield from frames[max(0, start - self.ratio.frames(stop) + len(frames)) :]

    def _begin(self, number: int) -> int:
        """First latent of a piece."""
        return (number - self.alone) * self.each + self.alone if number else 0
