"""Windowed processing of long clips: fixed windows, an overlap that is cut or cross-faded, one pass.

A network maps n latents to frames or back, where n latents represent `first + each * (n - 1)` frames. Windows never depend on
memory, and frames are processed one at a time, so a clip of any length takes the memory of one window.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

Work = Callable[[Tensor], Tensor]
"""A window -> output of the network; time is axis 0 of both."""


@dataclass(frozen=True)
class TimeRatio:
    """Number of frames that n latents represent."""

    each: int = 1
    """Frames per latent after the first: 4 where time is compressed by 4."""
    first: int = 1
    """Frames of the first latent: 1 in causal networks, where it is a single image; else as in the other latents."""
    block: int = 0
    """Latents per independent clip (Open-Sora 1.2: 5); 0: the whole is one clip."""

    def frames(self, latents: int) -> int:
        """Number of frames of a clip of n latents."""
        blocks, rest = divmod(latents, self.block) if self.block else (0, latents)
        return blocks * self._whole(self.block) + self._whole(rest)

    def latents(self, frames: int) -> int:
        """Number of latents of the shortest clip with at least `frames` frames."""
        size = self._whole(self.block)
        blocks, rest = divmod(frames, size) if self.block else (0, frames)
        return blocks * self.block + (1 - (self.first - rest) // self.each if rest else 0)

    def start(self, latent: int) -> int:
        """First frame of a window that begins at `latent`."""
        blocks, rest = divmod(latent, self.block) if self.block else (0, latent)
        return blocks * self._whole(self.block) + self.each * rest

    def _whole(self, latents: int) -> int:
        return self.first + self.each * (latents - 1) if latents else 0


@dataclass(frozen=True)
class WindowSpec:
    """Size and overlap of the windows of a long clip, in latents."""

    size: int
    """Latents per window."""
    overlap: int = 0
    """Latents that neighbouring windows share."""
    fade: bool = True
    """Whether the overlap is cross-faded; else it is cut in the middle."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"window: expected 1 or more, got {self.size}")
        if not 0 <= self.overlap <= self.size // 2:
            raise ValueError(f"overlap: expected 0 to half of the window ({self.size // 2}), got {self.overlap}")


def decode_stream(work: Work, latents: Iterable[Tensor], ratio: TimeRatio, cut: WindowSpec) -> Iterator[Tensor]:
    """Decodes latents to frames, one at a time in and out. work: `(n, ...)` latents to `(ratio.frames(n), ...)` frames."""
    cut = fitting(cut, ratio)
    made = ((ratio.start(start), work(window)) for start, window in cut_stream(latents, cut, TimeRatio()))
    yield from join_stream(made, ratio.frames(cut.overlap), cut.fade)


def encode_stream(work: Work, frames: Iterable[Tensor], ratio: TimeRatio, cut: WindowSpec) -> Iterator[Tensor]:
    """Encodes frames to latents, one at a time in and out. The last frame is repeated to fill the last latent."""
    cut = fitting(cut, ratio)

    def filled(window: Tensor) -> Tensor:
        missing = ratio.frames(ratio.latents(len(window))) - len(window)
        return work(torch.cat([window, window[-1:].expand(missing, *window.shape[1:])]) if missing else window)

    made = ((start, filled(window)) for start, window in cut_stream(frames, cut, ratio))
    yield from join_stream(made, cut.overlap, cut.fade)


def fitting(cut: WindowSpec, ratio: TimeRatio) -> WindowSpec:
    """Windows that fit the ratio: whole blocks, where clips are independent after each, so that no cut is visible; in causal
    networks an overlap of at least one latent, because the first latent of a window represents a single frame."""
    if ratio.block:
        return WindowSpec(max(1, cut.size // ratio.block) * ratio.block, 0, cut.fade)
    return WindowSpec(max(2, cut.size), max(1, cut.overlap), cut.fade) if ratio.first < ratio.each else cut


def cut_stream(items: Iterable[Tensor], cut: WindowSpec, ratio: TimeRatio) -> Iterator[tuple[int, Tensor]]:
    """Cuts items into windows (first latent, items), as `Cutter`."""
    cutter = Cutter(cut, ratio)
    for item in items:
        yield from cutter.push(item)
    yield from cutter.finish()


@dataclass
class Cutter:
    """Cuts items into windows (first latent, items), one item at a time; its fields are its whole state.

    Where windows overlap, the last one starts earlier, so that it is as long as the others, because results depend on the
    length of a window; without overlap it is shorter.
    """

    cut: WindowSpec
    ratio: TimeRatio
    """Items per latent."""
    latent: int = 0
    """First latent of `held`."""
    held: list[Tensor] = field(default_factory=list)

    def push(self, item: Tensor) -> list[tuple[int, Tensor]]:
        """The window that the item completes, if any."""
        size, onwards = self._sizes()
        self.held.append(item)
        if len(self.held) == size + onwards:
            self.held, self.latent = self.held[onwards:], self.latent + self.cut.size - self.cut.overlap
        elif len(self.held) != size or self.latent:
            return []
        return [(self.latent, torch.stack(self.held))]

    def finish(self) -> list[tuple[int, Tensor]]:
        """The last window, where items are left."""
        held, self.held = self.held, []
        beyond = len(held) - self._sizes()[0]
        if not held or not beyond:
            return []
        if beyond < 0:
            return [(self.latent, torch.stack(held))]
        further = -(-beyond // self.ratio.each) if self.cut.overlap else self.cut.size
        return [(self.latent + further, torch.stack(held[self.ratio.start(further) :]))]

    def _sizes(self) -> tuple[int, int]:
        """Items of a window, and from one to the next."""
        return self.ratio.frames(self.cut.size), self.ratio.start(self.cut.size - self.cut.overlap)


def join_stream(made: Iterable[tuple[int, Tensor]], overlap: int, fade: bool) -> Iterator[Tensor]:
    """Joins windows `(first item, items)`, in order, to items, one at a time, as `Joiner`."""
    joiner = Joiner(overlap, fade)
    for start, items in made:
        yield from joiner.push(start, items)
    yield from joiner.finish()


@dataclass
class Joiner:
    """Joins windows, in order, to items; neighbours share `overlap` items or more. Its fields are its whole state."""

    overlap: int
    fade: bool
    end: int = 0
    """Number of the item after the last window."""
    tail: Tensor | None = None
    """Items that the next window may change."""

    def push(self, start: int, items: Tensor) -> list[Tensor]:
        """Items that no later window changes, after a window that begins at item `start`."""
        stop, blended = start + len(items), items[:0]
        if self.tail is not None:
            shared = len(self.tail)
            fresh = items[self.end - start - shared :]
            blended, items = blend(self.tail, fresh[:shared], self.fade), fresh[shared:]
        kept = max(0, len(blended) + len(items) - self.overlap)
        apart = max(0, kept - len(blended))
        self.tail, self.end = torch.cat([blended[kept:], items[apart:]]), stop
        return [*blended[:kept], *items[:apart]]  # not copied together: frames may be large

    def finish(self) -> Iterable[Tensor]:
        """The remaining items."""
        tail, self.tail = self.tail, None
        return () if tail is None else tail


def blend(before: Tensor, after: Tensor, fade: bool) -> Tensor:
    """Blends two versions of the same items, `(n, ...)` each: a ramp from one to the other, or a cut in the middle."""
    count = len(before)
    if not fade:
        return torch.cat([before[: count - count // 2], after[count - count // 2 :]])
    ramp = torch.arange(1, count + 1, dtype=before.dtype, device=before.device) / (count + 1)
    weight = ramp.view(-1, *[1] * (before.ndim - 1))
    return before + weight * (after - before)
