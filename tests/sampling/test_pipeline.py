"""Pipeline of steps over windows of a clip of any length."""

from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor
from zoetrope.sampling.pipeline import Pipeline, blocks, descent, real_frames
from zoetrope.sampling.stream import euler_stream
from zoetrope.sampling.windowing import WindowSpec

SIGMAS = torch.tensor([8.0, 4.0, 2.0, 0.5, 0.0])


def network(x: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
    """Depends on the neighbours in the window, the level and the frame numbers."""
    rows = torch.tensor(list(numbers), dtype=x.dtype).reshape(-1, 1, 1, 1)
    return (x.mean(0, keepdim=True) * 0.3 + x * 0.5 + torch.sin(rows + sigma)).tanh()


def clip(frames: int) -> Tensor:
    return torch.randn(frames, 2, 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def through(
    frames: Tensor, spec: WindowSpec, held: Tensor | None = None, start: int = 0
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(next tick, frames that left, state) of each tick, from tick `start` on with the state of the tick before."""
    lanes = descent(network, SIGMAS)
    held = torch.zeros(len(lanes), spec.size, *frames.shape[1:], dtype=frames.dtype) if held is None else held.clone()
    source, tick, last, count, pipeline = blocks(frames, spec), 0, None, None, None
    while last is None or tick <= last + len(lanes):
        block = next(source, None)
        if block is not None:
            pipeline = Pipeline(lanes, block.spec)
            last, count = (block.index, block.count) if block.count is not None else (None, None)
        assert pipeline is not None
        if tick >= start:
            left = pipeline.tick(tick, None if block is None else block.frames, last, held)
            finished = frames[:0] if left is None else real_frames(tick - len(lanes), left, count, pipeline.stride)
            yield tick + 1, finished, held.clone()
        tick += 1


@pytest.mark.parametrize(("size", "overlap", "frames"), [(6, 2, 22), (6, 2, 6), (6, 3, 27), (5, 0, 20), (4, 1, 4), (3, 1, 31)])
def test_a_clip_of_whole_windows_is_that_of_the_generators(size: int, overlap: int, frames: int) -> None:
    spec = WindowSpec(size, overlap)
    x = clip(frames)
    made = torch.cat([left for _, left, _ in through(x, spec)])
    expected = torch.stack(list(euler_stream(network, iter(x), SIGMAS, spec)))
    assert made.shape == x.shape
    assert torch.allclose(made, expected, atol=1e-12)


@pytest.mark.parametrize("frames", range(1, 24))
def test_every_length_gives_as_many_frames_and_the_padding_is_a_reflection(frames: int) -> None:
    spec = WindowSpec(6, 2)
    x = clip(frames)
    assert len(torch.cat([left for _, left, _ in through(x, spec)])) == frames
    entered = torch.cat([block.frames for block in blocks(x, spec)])
    assert torch.equal(entered[:frames], x)
    padding = entered[frames:]
    assert torch.equal(padding, x.flip(0)[1 : 1 + len(padding)])
    assert len(padding) < 4


@pytest.mark.parametrize("frames", [1, 5, 6, 7, 22, 25])
def test_a_state_of_any_tick_continues_to_the_same_bits(frames: int) -> None:
    spec = WindowSpec(6, 2)
    x = clip(frames)
    ticks = list(through(x, spec))
    for tick, _, state in ticks:
        rest = [left for _, left, _ in through(x, spec, state, tick)]
        expected = [left for _, left, _ in ticks[tick:]]
        assert len(rest) == len(expected)
        assert all(torch.equal(one, other) for one, other in zip(rest, expected, strict=True))


def test_each_window_is_computed_once_per_lane() -> None:
    calls: list[tuple[float, tuple[int, ...]]] = []

    def counted(x: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        calls.append((sigma, tuple(numbers)))
        return network(x, sigma, numbers)

    spec, lanes = WindowSpec(6, 2), descent(counted, SIGMAS)
    held = torch.zeros(len(lanes), 6, 2, 3, 3, dtype=torch.float64)
    source, last, tick = blocks(clip(21), spec), None, 0
    while last is None or tick <= last + len(lanes):
        block = next(source, None)
        last = block.index if block is not None and block.count is not None else last
        Pipeline(lanes, spec, first=100).tick(tick, None if block is None else block.frames, last, held)
        tick += 1
    starts = {numbers[0] for _, numbers in calls}
    assert starts == {100, 104, 108, 112, 116}
    assert len(calls) == len(set(calls)) == 5 * len(lanes)
    assert all(len(numbers) == 6 for _, numbers in calls)


def test_a_clip_without_frames_has_no_blocks() -> None:
    assert list(blocks(clip(0), WindowSpec(4, 1))) == []
