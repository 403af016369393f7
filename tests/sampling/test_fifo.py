"""The queue's promises: the same frames however long the shot, resumed anywhere; every place changes once."""

from itertools import islice

import pytest
import torch
from torch import Tensor
from zoetrope.sampling.fifo import Diagonal, calls_per_frame, ddim, first_frame, iterate, queue_of, run
from zoetrope.sampling.noise import FrameNoise
from zoetrope.sampling.schedule import LINEAR

NOISE = FrameNoise(seed=7, shape=(4, 3, 5))


def shape(levels: int = 16, window: int = 8, context: int = 4, eta: float = 1.0) -> Diagonal:
    times = torch.linspace(0, 999, levels + 1).round().long()[1:]
    return Diagonal(LINEAR[times].float(), 0.0, window, context, eta)


def shrink(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    """A model that mixes the frames of its window and knows their numbers."""
    level = sigma.reshape(-1, 1, 1, 1)
    return 0.8 * x / (1 + level) + 0.1 * x.mean(0, keepdim=True) / (1 + level) + 0.01 * frame.reshape(-1, 1, 1, 1).sin()


def clip(frames: int = 8) -> Tensor:
    return torch.stack([FrameNoise(1, (4, 3, 5)).at(frame, 0) for frame in range(frames)])


def film(frames: int, diagonal: Diagonal, noise: FrameNoise = NOISE) -> tuple[Tensor, Tensor]:
    queue = queue_of(clip(), diagonal, noise.at)
    made = list(islice(run(shrink, queue, diagonal, noise.at, first_frame(clip(), diagonal)), frames))
    return torch.stack([out for _, out, _ in made]), made[-1][2]


@pytest.mark.parametrize("context", [0, 1, 3, 4])
@pytest.mark.parametrize("levels", [8, 16, 19])
def test_a_longer_shot_begins_as_the_shorter_one_and_a_resumed_one_goes_on_to_the_bit(levels: int, context: int) -> None:
    diagonal = shape(levels, context=context)
    short, queue = film(11, diagonal)
    long, _ = film(30, diagonal)
    assert torch.equal(long[:11], short)
    resumed = run(shrink, queue, diagonal, NOISE.at, first_frame(clip(), diagonal) + 11)
    rest = torch.stack([out for _, out, _ in islice(resumed, 19)])
    assert torch.equal(rest, long[11:])
    other, _ = film(11, diagonal, FrameNoise(8, (4, 3, 5)))
    assert not torch.allclose(other, short, atol=1e-3)


@pytest.mark.parametrize(
    ("levels", "window", "context"), [(16, 8, 4), (16, 8, 0), (8, 8, 0), (19, 8, 3), (6, 8, 2), (64, 16, 8)]
)
def test_every_place_changes_once_and_windows_are_whole(levels: int, window: int, context: int) -> None:
    diagonal = shape(levels, window, context)
    changed: list[int] = []
    for seen, changes in diagonal.windows():
        assert seen.stop - seen.start == window
        assert 0 <= seen.start <= changes.start < changes.stop <= seen.stop <= diagonal.places
        changed += range(changes.start, changes.stop)
    assert changed == list(range(context, diagonal.places))
    assert len(diagonal.windows()) == calls_per_frame(diagonal)


def test_places_that_are_only_looked_at_stay_as_they_are() -> None:
    diagonal = shape()
    queue = queue_of(clip(), diagonal, NOISE.at)
    stepped = iterate(shrink, queue, diagonal, NOISE.at, 0)
    assert torch.equal(stepped[: diagonal.context], queue[: diagonal.context])
    assert not torch.equal(stepped[diagonal.context :], queue[diagonal.context :])


def test_the_model_sees_growing_noise_and_absolute_frame_numbers() -> None:
    diagonal, seen = shape(context=4), []

    def watch(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        seen.append((sigma, frame))
        return torch.zeros_like(x)

    iterate(watch, queue_of(clip(), diagonal, NOISE.at), diagonal, NOISE.at, 100)
    assert all(bool((sigma.diff() >= 0).all()) for sigma, _ in seen)
    assert seen[0][1].tolist() == list(range(96, 104))
    assert seen[-1][1].tolist() == list(range(108, 116))


def test_a_true_model_gives_its_clean_frames_back_whatever_the_noise() -> None:
    clean = clip(1)[0]
    for eta in (0.0, 0.5, 1.0):
        diagonal = shape(eta=eta)
        queue = queue_of(clip(), diagonal, NOISE.at)
        made = islice(run(lambda x, sigma, frame: clean.expand_as(x), queue, diagonal, NOISE.at, 0), 20)
        assert all(torch.allclose(out, clean, atol=1e-5) for _, out, _ in made)


def test_ddim_without_fresh_noise_is_eulers_step() -> None:
    x, clean, noise = clip(4), clip(8)[4:], torch.full((4, 4, 3, 5), float("nan"))
    sigma, after = torch.tensor([9.0, 5.0, 2.0, 0.5]), torch.tensor([5.0, 2.0, 0.5, 0.0])
    expected = x + (x - clean) / sigma.reshape(-1, 1, 1, 1) * (after - sigma).reshape(-1, 1, 1, 1)
    assert torch.allclose(ddim(x, clean, sigma, after, 0.0, torch.zeros_like(noise)), expected, atol=1e-5)


def test_noise_belongs_to_seed_frame_and_step() -> None:
    first = NOISE.at(3, 2)
    assert torch.equal(first, FrameNoise(7, (4, 3, 5)).at(3, 2))
    others = [NOISE.at(4, 2), NOISE.at(3, 3), NOISE.at(2, 3), NOISE.at(-3, 2), FrameNoise(8, (4, 3, 5)).at(3, 2)]
    assert all(not torch.equal(first, other) for other in others)
    many = torch.stack([FrameNoise(0, (4, 8, 8)).at(frame, step) for frame in range(-20, 20) for step in range(10)])
    assert abs(many.mean().item()) < 0.01
    assert abs(many.std().item() - 1) < 0.01
    flat = many.flatten(1)
    assert (torch.corrcoef(flat) - torch.eye(len(flat))).abs().max() < 0.35


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"context": 5}, r"context: expected 0 to half of the window \(4\), got 5"),
        ({"levels": 3, "context": 4}, r"levels: expected at least 4 .* got 3; raise the steps"),
    ],
)
def test_impossible_shapes_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shape(**arguments)
    with pytest.raises(ValueError, match="noise that grows"):
        Diagonal(LINEAR[:16].flip(0), 0.0, 8, 4, 1.0)
