"""Pipeline of sampling steps over a clip of any length, in overlapping windows, with a state that can be stored.

Steps are lanes, one behind the other. At each tick every lane takes a block of frames, processes one window of them and passes
a block on, so lane k is k windows behind the source. The frames in flight are one window per lane, whatever the length of the
clip, and which frames they are depends on the number of the tick alone. Each window is processed once per lane, overlaps are
cross-faded: the result is that of `stream.euler_stream`, whose state cannot be stored, where the last window fits.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .windowing import WindowSpec, blend

Lane = Callable[[Tensor, range], Tensor]
"""(frames `(f, c, h, w)` before a step, their numbers) -> frames after it."""


@dataclass(frozen=True)
class Block:
    """Frames that a lane takes at once."""

    index: int
    frames: Tensor
    """`(f, c, h, w)`: `stride` frames, in the last block of a clip `overlap`."""
    count: int | None
    """Number of frames of the clip, without padding, in the last block; None in the others."""
    spec: WindowSpec
    """Windows of the clip; a clip shorter than a window has one of its own length."""


def blocks(frames: Iterable[Tensor], spec: WindowSpec) -> Iterator[Block]:
    """Cuts the frames `(c, h, w)` of a clip into blocks, one at a time in and out.

    The end is padded with its reflection, so that the last window is as long as the others.
    """
    stride, before, held, index = spec.size - spec.overlap, list[Tensor](), list[Tensor](), 0
    for frame in frames:
        held.append(frame)
        if len(held) > spec.size:
            yield Block(index, torch.stack(held[:stride]), None, spec)
            before, held, index = held[:stride], held[stride:], index + 1
    if not held:
        return
    if not before:
        spec = WindowSpec(len(held))
        stride = spec.size
    padding = [*reversed([*before, *held[:-1]])][: spec.size - len(held)]
    padded = torch.stack([*held, *padding])
    yield Block(index, padded[:stride], None, spec)
    yield Block(index + 1, padded[stride:], index * stride + len(held), spec)


@dataclass(frozen=True)
class Pipeline:
    """Lanes and windows of a clip."""

    lanes: Sequence[Lane]
    spec: WindowSpec
    first: int = 0
    """Number of the clip's first frame."""

    @property
    def stride(self) -> int:
        """Frames of a block."""
        return self.spec.size - self.spec.overlap

    def tick(self, tick: int, entering: Tensor | None, last: int | None, held: Tensor) -> Tensor | None:
        """Passes one block through each lane; returns the block that leaves the last lane, number tick - len(lanes).

        entering   block number `tick`; None after the last block
        last       number of the clip's last block, which has `overlap` frames; None where it is not known yet
        held       `(lanes, size, c, h, w)`: for each lane, the frames of the last block and the overlap after the last step;
                   changed in place
        """
        block = entering
        for number, lane in enumerate(self.lanes):
            index = tick - number
            if index < 0 or (last is not None and index > last + 1):
                block = None
            else:
                block = self._through(lane, index, block, index == last, held[number, : self.spec.size])
        return block

    def _through(self, lane: Lane, index: int, block: Tensor | None, is_last: bool, held: Tensor) -> Tensor | None:
        """One lane's tick: keeps the block, and returns the one before it after the lane's step."""
        waiting, tail = held[: self.stride], held[self.stride :]
        if block is None:  # the clip has ended
            return tail.clone()
        if index == 0:
            waiting.copy_(block)
            return None
        start = self.first + (index - 1) * self.stride
        window = torch.cat([waiting, block[: self.spec.overlap]])
        made = lane(window, range(start, start + len(window))).to(held)
        if index > 1:
            made = torch.cat([blend(tail, made[: self.spec.overlap], fade=True), made[self.spec.overlap :]])
        if not is_last:
            waiting.copy_(block)
        tail.copy_(made[self.stride :])
        return made[: self.stride]


def real_frames(index: int, block: Tensor, count: int | None, stride: int) -> Tensor:
    """A block that has left the pipeline, without the padding at the end of the clip.

    count   number of frames of the clip; None where its end has not been read yet
    """
    return block if count is None else block[: max(0, count - index * stride)]


def descent(denoise: Callable[[Tensor, float, Sequence[int]], Tensor], sigmas: Tensor) -> list[Lane]:
    """Lanes that remove noise by Euler's method, which is DDIM with eta 0. sigmas: noise levels `(steps + 1,)`, falling."""

    def lane(now: float, after: float) -> Lane:
        def step(x: Tensor, numbers: range) -> Tensor:
            return x + (x - denoise(x, now, numbers).to(x)) * ((after - now) / now)

        return step

    levels = sigmas.tolist()
    return [lane(now, after) for now, after in zip(levels, levels[1:], strict=False)]
