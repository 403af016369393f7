"""The queue's promises: the same frames however long the shot, resumed anywhere; every place changes once."""

from itertools import islice

import pytest
import torch
from torch import Tensor
from zoetrope.sampling.fifo import (
    base_clip,
    ddim,
    first_frame,
    iterate,
    queue_of,
    run,
    step_noise,
)
from zoetrope.sampling.known import before
from zoetrope.sampling.layout import FifoLayout, Levels, calls_per_frame, layout_of, published_layout
from zoetrope.sampling.noise import FrameNoise
from zoetrope.sampling.queue import PRESETS, InitialQueue, QueueSettings, beginning
from zoetrope.sampling.schedule import LINEAR

NOISE = FrameNoise(seed=7, shape=(4, 3, 5))


def shape(levels: int = 16, window: int = 8, context: int = 4, eta: float = 1.0, shift: int = 0) -> FifoLayout:
    times = torch.linspace(0, 999, levels + 1).round().long()[1:]
    return FifoLayout(LINEAR[times].float(), 0.0, window, context, eta, shift)


def shrink(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    """A model that mixes the frames of its window and knows their numbers."""
    level = sigma.reshape(-1, 1, 1, 1)
    return 0.8 * x / (1 + level) + 0.1 * x.mean(0, keepdim=True) / (1 + level) + 0.01 * frame.reshape(-1, 1, 1, 1).sin()


def clip(frames: int = 8) -> Tensor:
    return torch.stack([FrameNoise(1, (4, 3, 5)).at(frame, 0) for frame in range(frames)])


def film(frames: int, diagonal: FifoLayout, noise: FrameNoise = NOISE) -> tuple[Tensor, Tensor]:
    queue = queue_of(clip(), diagonal, noise.at)
    made = list(islice(run(shrink, queue, diagonal, noise.at, first_frame(clip(), diagonal)), frames))
    return torch.cat([out for _, out, _ in made]), made[-1][2]


def mixing(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    """`shrink` on every window of 8 in a call that may hold several."""
    parts = zip(*(whole.split(8) for whole in (x, sigma, frame)), strict=True)
    return torch.cat([shrink(*part) for part in parts])


@pytest.mark.parametrize("shift", [0, 3])
@pytest.mark.parametrize("context", [0, 1, 3, 4])
@pytest.mark.parametrize("levels", [8, 16, 19])
def test_a_longer_shot_begins_as_the_shorter_one_and_a_resumed_one_goes_on_to_the_bit(
    levels: int, context: int, shift: int
) -> None:
    diagonal = shape(levels, context=context, shift=shift)
    short, queue = film(11, diagonal)
    long, _ = film(30, diagonal)
    assert torch.equal(long[:11], short)
    resumed = run(shrink, queue, diagonal, NOISE.at, first_frame(clip(), diagonal) + 11)
    rest = torch.cat([out for _, out, _ in islice(resumed, 19)])
    assert torch.equal(rest, long[11:])
    other, _ = film(11, diagonal, FrameNoise(8, (4, 3, 5)))
    assert not torch.allclose(other, short, atol=1e-3)


@pytest.mark.parametrize("shift", [0, 1, 3])
@pytest.mark.parametrize(
    ("levels", "window", "context"), [(16, 8, 4), (16, 8, 0), (8, 8, 0), (19, 8, 3), (6, 8, 2), (64, 16, 8), (4, 16, 12)]
)
def test_every_place_changes_once_and_windows_are_whole(levels: int, window: int, context: int, shift: int) -> None:
    diagonal = shape(levels, window, context, shift=shift)
    counts = []
    for frame in range(-5, 43):
        changed: list[int] = []
        for seen, changes in diagonal.windows(frame):
            assert seen.stop - seen.start == window
            assert 0 <= seen.start <= changes.start < changes.stop <= seen.stop <= diagonal.places
            changed += range(changes.start, changes.stop)
        assert changed == list(range(context, diagonal.places))
        counts.append(len(diagonal.windows(frame)))
    period = diagonal.stride  # a multiple of the borders' own
    assert sum(counts[:period]) / period == pytest.approx(calls_per_frame(diagonal))


def test_windows_that_share_a_call_give_the_same_frames_within_rounding() -> None:
    for context, shift in ((4, 0), (0, 3), (3, 2)):
        diagonal = shape(19, context=context, shift=shift)
        made = []
        for together in (1, 2, 9):
            calls: list[int] = []

            def counted(x: Tensor, sigma: Tensor, frame: Tensor, calls: list[int] = calls) -> Tensor:
                calls.append(len(x))
                return mixing(x, sigma, frame)

            queue = queue_of(clip(), diagonal, NOISE.at)
            shot = islice(run(counted, queue, diagonal, NOISE.at, first_frame(clip(), diagonal), together), 12)
            made.append(torch.cat([out for _, out, _ in shot]))
            assert max(calls) <= 8 * together
            assert len(calls) < 12 * calls_per_frame(diagonal) or together == 1
        assert torch.allclose(made[0], made[1], atol=1e-4)
        assert torch.allclose(made[0], made[2], atol=1e-4)


def test_a_schedule_with_fewer_levels_than_the_window_gets_a_short_queue() -> None:
    sigmas = torch.tensor([14.0, 5.0, 2.0, 0.6, 0.0])
    diagonal = layout_of(sigmas, 8, 2, 1.0, shift=3)
    assert (diagonal.context, diagonal.places, diagonal.stride, diagonal.shift) == (4, 8, 4, 3)
    assert torch.equal(diagonal.sigmas, sigmas[:-1].flip(0))
    assert layout_of(sigmas, 8, 2, 1.0).context == 4
    assert calls_per_frame(layout_of(sigmas, 16, 8, 1.0)) == 1
    made = list(islice(run(mixing, queue_of(clip(), diagonal, NOISE.at), diagonal, NOISE.at, first_frame(clip(), diagonal)), 9))
    assert [number for number, *_ in made] == list(range(4, 13))  # the clip's first four are finished already
    with pytest.raises(ValueError, match="sigmas: expected two or more noise levels"):
        layout_of(torch.zeros(1), 8, 0, 1.0)


def test_the_published_queue_and_its_bounds() -> None:
    diagonal = published_layout(LINEAR, 16, 4)
    assert (diagonal.places, diagonal.context, diagonal.last, calls_per_frame(diagonal)) == (72, 8, float(LINEAR[0]), 8)
    assert float(diagonal.sigmas[-1]) == float(LINEAR[-1])
    assert published_layout(LINEAR, 16, 1, context=0).places == 16
    with pytest.raises(ValueError, match=r"partitions \* window / block: expected 2 to 1000 levels, got 100 \* 16 / 1"):
        published_layout(LINEAR, 16, 100)


def test_presets_cost_what_is_said_of_them() -> None:
    costs = {name: calls_per_frame(queue.layout(LINEAR, None)) for name, queue in PRESETS.items()}
    assert costs == {"recommended": 4, "paper": 8, "fast": 3.5}
    assert costs["recommended"] / calls_per_frame(QueueSettings(context=0, shift=0).layout(LINEAR, None)) <= 1.35
    assert QueueSettings(window=4, context=1).layout(LINEAR, None).shift == 1  # the usual 7, in windows that change 3
    assert len(QueueSettings().layout(LINEAR, torch.tensor([9.0, 4, 2, 0])).sigmas) == 3
    with pytest.raises(ValueError, match="no table of noise levels; connect sigmas"):
        QueueSettings().layout(None, None)


def test_a_shot_goes_on_after_given_frames_and_keeps_them() -> None:
    given = clip(30)
    for context, eta in ((4, 1.0), (0, 0.0), (2, 0.5)):
        diagonal = shape(context=context, eta=eta)
        queue = queue_of(given, diagonal, NOISE.at, number=-len(given))
        start = first_frame(given, diagonal, -len(given))
        assert start == -len(diagonal.sigmas)
        made = list(islice(run(mixing, queue, diagonal, NOISE.at, start, known=[before(given)]), 24))
        for number, out, _ in made:
            if number < 0:
                assert torch.allclose(out[0], given[number], atol=1e-6)
        free = list(islice(run(mixing, queue, diagonal, NOISE.at, start), 24))
        assert not torch.allclose(free[-9][1][0], given[-1], atol=1e-2)
        assert [number for number, *_ in made] == list(range(-16, 8))
        again = run(mixing, made[9][2], diagonal, NOISE.at, start + 10, known=[before(given)])
        assert torch.equal(next(again)[1], made[10][1])


def test_fewer_given_frames_than_places_repeat_the_first() -> None:
    diagonal, given = shape(), clip(3)
    queue = queue_of(given, diagonal, NOISE.at, number=-3)
    made = list(islice(run(mixing, queue, diagonal, NOISE.at, first_frame(given, diagonal, -3), known=[before(given)]), 18))
    kept = {number: out[0] for number, out, _ in made}
    assert all(torch.allclose(kept[number], given[number], atol=1e-6) for number in (-3, -2, -1))


def test_a_queue_of_noise_warms_up_for_as_many_frames_as_it_has_levels() -> None:
    diagonal, nothing = shape(), torch.zeros(1, 4, 3, 5)
    queue = queue_of(nothing, diagonal, NOISE.at, number=-1)
    assert first_frame(nothing, diagonal, -1) == -16
    assert torch.allclose(
        queue / diagonal.levels.sigma.reshape(-1, 1, 1, 1), torch.stack([NOISE.at(n, 0) for n in range(-20, 0)]), atol=1e-5
    )


def test_the_base_clip_is_the_models_and_its_own_noise() -> None:
    diagonal = shape()
    clean, seen = clip(), []

    def true_model(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        seen.append((float(sigma[0]), frame.tolist()))
        return clean

    assert torch.allclose(base_clip(true_model, diagonal, NOISE.at), clean, atol=1e-5)
    assert [level for level, _ in seen] == pytest.approx(diagonal.sigmas.flip(0).tolist())
    *steps, start = beginning(true_model, diagonal, NOISE, "base clip")
    assert steps == list(range(1, 17))
    assert isinstance(start, InitialQueue)
    assert seen[0][1] == list(range(8))
    first: list[Tensor] = []
    base_clip(lambda x, sigma, frame: first.append(x) or x, diagonal, NOISE.at)
    entry = torch.stack([NOISE.at(frame, 0) for frame in range(8)])
    assert abs(float((first[0].flatten() * entry.flatten()).mean()) / float(first[0].std() * entry.std())) < 0.2


def test_places_that_are_only_looked_at_stay_as_they_are() -> None:
    diagonal = shape()
    queue = queue_of(clip(), diagonal, NOISE.at)
    stepped = iterate(shrink, queue, diagonal, step_noise(diagonal, NOISE.at, 0), 0)
    assert torch.equal(stepped[: diagonal.context], queue[: diagonal.context])
    assert not torch.equal(stepped[diagonal.context :], queue[diagonal.context :])


def test_the_model_sees_growing_noise_and_absolute_frame_numbers() -> None:
    diagonal, seen = shape(context=4), []

    def watch(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        seen.append((sigma, frame))
        return torch.zeros_like(x)

    iterate(watch, queue_of(clip(), diagonal, NOISE.at), diagonal, step_noise(diagonal, NOISE.at, 100), 100)
    assert all(bool((sigma.diff() >= 0).all()) for sigma, _ in seen)
    assert seen[0][1].tolist() == list(range(96, 104))
    assert seen[-1][1].tolist() == list(range(108, 116))


def test_a_true_model_gives_its_clean_frames_back_whatever_the_noise() -> None:
    clean = clip(1)[0]
    for eta in (0.0, 0.5, 1.0):
        diagonal = shape(eta=eta)
        queue = queue_of(clip(), diagonal, NOISE.at)
        made = islice(run(lambda x, sigma, frame: clean.expand_as(x), queue, diagonal, NOISE.at, 0), 20)
        assert all(torch.allclose(out[0], clean, atol=1e-5) for _, out, _ in made)


def test_ddim_without_fresh_noise_is_eulers_step() -> None:
    x, clean, noise = clip(4), clip(8)[4:], torch.full((4, 4, 3, 5), float("nan"))
    sigma, after = torch.tensor([9.0, 5.0, 2.0, 0.5]), torch.tensor([5.0, 2.0, 0.5, 0.0])
    expected = x + (x - clean) / sigma.reshape(-1, 1, 1, 1) * (after - sigma).reshape(-1, 1, 1, 1)
    now, then = (Levels(one, torch.ones(4)) for one in (sigma, after))
    assert torch.allclose(ddim(x, clean, now, then, 0.0, torch.zeros_like(noise)), expected, atol=1e-5)


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
        ({"context": 5}, r"context: expected 0 to 4 \(window 8, 16 places\), got 5"),
        ({"levels": 3, "context": 4}, r"levels: expected at least 4 .* got 3; raise the steps"),
    ],
)
def test_impossible_shapes_are_refused(arguments: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        shape(**arguments)
    with pytest.raises(ValueError, match="noise levels that increase"):
        FifoLayout(LINEAR[:16].flip(0), 0.0, 8, 4, 1.0)
    with pytest.raises(ValueError, match="noise levels that increase"):
        FifoLayout(LINEAR[:16], 1.0, 8, 4, 1.0)
    with pytest.raises(ValueError, match="shift: expected 0 to 3"):
        shape(shift=4)
