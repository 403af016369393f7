"""States of a streaming sampler that are stored and restored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor
from zoetrope.sampling.interpolation import Filling, InterpolationSpec
from zoetrope.sampling.noise import FrameNoise
from zoetrope.sampling.stream import EulerSteps, calls_of, euler_stream
from zoetrope.sampling.windowing import WindowSpec

SIGMAS = torch.tensor([8.0, 3.0, 1.0, 0.0])
SHAPE = (4, 2, 3)


def model(x: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
    """Depends on the neighbours in the window, their numbers, the noise level, and two further channels."""
    count = torch.tensor(list(numbers)).reshape(-1, 1, 1, 1)
    return 0.3 * x[:, :2] + 0.5 * x[:, :2].mean(0, keepdim=True).tanh() + 0.1 * x[:, 2:4] + 0.01 * count / (1 + sigma)


def filler(x: Tensor, sigma: float, numbers: Sequence[int], given: Mapping[int, Tensor]) -> Tensor:
    keys = torch.stack([given.get(number, x[0]) for number in numbers])
    return 0.3 * x + 0.4 * x.mean(0, keepdim=True).tanh() + 0.2 * keys


def finished(stream: Any, items: Tensor) -> Iterator[list[Tensor]]:
    """What leaves after each item that has not entered yet, and after each lane's end."""
    for item in items[stream.entered :]:
        yield stream.push(item)
    yield from stream.finish()


def check(make: Callable[[], Any], items: Tensor) -> None:
    whole = list(finished(make(), items))
    stream = make()
    for done, _ in enumerate(finished(stream, items), 1):
        frames, counters = stream.state(SHAPE)
        assert frames.shape == (stream.places, *SHAPE)
        restored = make()
        restored.restore(frames.clone(), counters)
        assert (restored.entered, restored.calls, restored.done) == (stream.entered, stream.calls, stream.done)
        rest = list(finished(restored, items))
        assert len(rest) == len(whole) - done
        for one, other in zip(rest, whole[done:], strict=True):
            assert len(one) == len(other)
            assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    assert stream.done


@pytest.mark.parametrize(
    ("frames", "size", "overlap"),
    [
        (1, 1, 0),
        (5, 1, 0),
        (1, 6, 2),
        (4, 6, 2),
        (6, 6, 2),
        (7, 6, 2),
        (23, 6, 2),
        (23, 6, 0),
        (24, 6, 3),
        (19, 5, 1),
        (8, 2, 1),
    ],
)
def test_a_state_after_any_frame_continues_to_the_same_bits(frames: int, size: int, overlap: int) -> None:
    x = noise(frames, *SHAPE, seed=frames) * 8
    check(lambda: EulerSteps(model, SIGMAS, WindowSpec(size, overlap)), x)
    made = torch.stack([frame for part in finished(EulerSteps(model, SIGMAS, WindowSpec(size, overlap)), x) for frame in part])
    assert torch.equal(made, torch.stack(list(euler_stream(model, iter(x), SIGMAS, WindowSpec(size, overlap)))))


@pytest.mark.parametrize(
    ("keys", "factor", "clip", "shared"), [(2, 4, 16, 1), (3, 4, 16, 1), (9, 4, 16, 1), (9, 2, 5, 0), (7, 5, 6, 1)]
)
def test_a_state_after_any_key_continues_to_the_same_bits(keys: int, factor: int, clip: int, shared: int) -> None:
    plan = InterpolationSpec(factor, clip, shared)
    latents = noise(keys, *SHAPE, seed=keys)
    check(lambda: Filling(filler, plan, SIGMAS, FrameNoise(3, SHAPE), first=40), latents)


@pytest.mark.parametrize(("size", "overlap"), [(1, 0), (6, 2), (6, 0), (6, 3)])
def test_calls_are_counted_ahead(size: int, overlap: int) -> None:
    for frames in range(1, 30):
        steps = EulerSteps(model, SIGMAS, WindowSpec(size, overlap))
        for _ in finished(steps, noise(frames, *SHAPE)):
            pass
        assert steps.calls == calls_of(frames, 3, WindowSpec(size, overlap))


def test_no_window_contains_a_frame_before_the_oldest() -> None:
    firsts: list[int] = []

    def work(x: Tensor, sigma: float, numbers: Sequence[int]) -> Tensor:
        firsts.append(numbers[0])
        return model(x, sigma, numbers)

    steps, oldest = EulerSteps(work, SIGMAS, WindowSpec(6, 2)), 0
    for _ in finished(steps, noise(41, *SHAPE)):
        assert min(firsts, default=oldest) >= oldest, "inputs of older frames may have been discarded"
        oldest = steps.oldest
        firsts.clear()
    assert oldest == 32
