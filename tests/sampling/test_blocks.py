"""Queues whose frames share levels in blocks, and queues of flow models, whose clean frames are scaled."""

from itertools import islice

import pytest
import torch
from torch import Tensor
from zoetrope.sampling.fifo import base_clip, ddim, first_frame, iterate, queue_of, run, step_noise
from zoetrope.sampling.known import before
from zoetrope.sampling.layout import FifoLayout, Levels, calls_per_frame, layout_of, published_layout
from zoetrope.sampling.noise import FrameNoise
from zoetrope.sampling.queue import QueueSettings, beginning, work_before
from zoetrope.sampling.schedule import LINEAR
from zoetrope.sampling.tail import CoherentTail

NOISE = FrameNoise(seed=5, shape=(4, 3, 5))
NOTHING = torch.zeros(1, 4, 3, 5)
SIGMAS = torch.tensor([14.0, 7.0, 4.0, 2.0, 1.0, 0.4, 0.0])
TIMES = torch.tensor([1.0, 0.9, 0.75, 0.6, 0.4, 0.15, 0.0])


def of_size(block: int, window: int = 6, context: int = 2, eta: float = 1.0, shift: int = 0) -> FifoLayout:
    return layout_of(SIGMAS, window, context, eta, shift, block)


def alone(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    """A model that processes every frame by itself."""
    level = sigma.reshape(-1, 1, 1, 1)
    return x / (1 + level**2).sqrt() + 0.1 * frame.reshape(-1, 1, 1, 1).sin()


def mixing(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    """A model that mixes the frames of a window; a call is one window."""
    return alone(x, sigma, frame) + 0.2 * (x / (1 + sigma.reshape(-1, 1, 1, 1))).mean(0, keepdim=True)


def filmed(layout: FifoLayout, frames: int, denoise: object = mixing) -> tuple[Tensor, Tensor, int]:
    """Frames `(frames, ...)` from 0 on of a shot that begins with noise, the queue after them, and the next frame."""
    queue, start = queue_of(NOTHING, layout, NOISE.at, number=-1), first_frame(NOTHING, layout, -1)
    parts: list[Tensor] = []
    for frame, latents, later in run(denoise, queue, layout, NOISE.at, start):  # type: ignore[arg-type]
        parts.append(latents[max(0, -frame) :])
        if sum(map(len, parts)) >= frames:
            return torch.cat(parts)[:frames], later, frame + layout.block
    raise AssertionError


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_for_a_model_that_processes_frames_alone_blocks_make_no_difference(eta: float) -> None:
    single, *_ = filmed(of_size(1, eta=eta), 20, alone)
    for block in (2, 3, 4):
        assert torch.equal(filmed(of_size(block, eta=eta), 20, alone)[0], single)


@pytest.mark.parametrize(("block", "shift"), [(2, 0), (2, 3), (3, 1), (4, 2)])
def test_a_shot_in_blocks_is_lengthened_and_resumed_to_the_same_bits(block: int, shift: int) -> None:
    layout = of_size(block, shift=shift)
    whole, *_ = filmed(layout, 31)
    for frames in (1, 8, 19):
        first, queue, frame = filmed(layout, frames)
        assert torch.equal(first, whole[:frames])
        rest = torch.cat([latents for _, latents, _ in islice(run(mixing, queue, layout, NOISE.at, frame), 4)])
        stop = min(31, frame + len(rest))
        assert torch.equal(rest[: stop - frame], whole[frame:stop])


def test_every_place_of_a_block_is_updated_once_with_the_level_of_its_block() -> None:
    layout = of_size(3, window=7, context=2, shift=2)
    assert (layout.updated, layout.places) == (18, 20)
    assert layout.levels.sigma.tolist() == [SIGMAS[-2]] * 2 + [
        level for level in SIGMAS[:-1].flip(0).tolist() for _ in range(3)
    ]
    assert layout.after.sigma.tolist()[2:8] == [0.0] * 3 + [SIGMAS[-2]] * 3
    for frame in range(-18, 60, 3):
        updated = [place for _, places in layout.windows(frame) for place in range(20)[places]]
        assert updated == list(range(2, 20))
    seen: list[tuple[int, int]] = []
    step_noise(layout, lambda frame, step: seen.append((frame, step)) or torch.zeros(1), 30)
    assert seen == [(30 + place, 6 - place // 3) for place in range(18)]


def test_blocks_take_fewer_calls_and_steps() -> None:
    single, double = published_layout(LINEAR, 16, 3, 2), published_layout(LINEAR, 16, 3, 2, block=2)
    assert (len(double.sigmas), double.updated) == (24, single.updated)
    assert calls_per_frame(double) == calls_per_frame(single) / 2
    assert work_before(double, False) == (0, 48)
    assert work_before(double, True) == (24, 32)
    assert "frames per block" not in QueueSettings().settings(single)
    assert QueueSettings(block=2).settings(double)["frames per block"] == 2
    with pytest.raises(ValueError, match=r"block: expected a divisor of partitions \* window \(3 \* 16\), got 5"):
        published_layout(LINEAR, 16, 3, 2, block=5)
    with pytest.raises(ValueError, match="block: expected 1 or more, got 0"):
        of_size(0)


def test_a_base_clip_and_given_frames_fill_a_queue_of_blocks() -> None:
    layout = of_size(2)
    *steps, start = beginning(mixing, layout, NOISE, "base clip")
    assert steps == [1, 2, 3, 4, 5, 6]
    assert start.frame == 6 - 12  # type: ignore[union-attr]
    given = torch.stack([FrameNoise(1, (4, 3, 5)).at(frame, 0) for frame in range(9)])
    queue, first = queue_of(given, layout, NOISE.at, -9), first_frame(given, layout, -9)
    for frame, latents, _ in islice(run(mixing, queue, layout, NOISE.at, first, known=[before(given)]), 8):
        for number, latent in enumerate(latents, frame):
            if -9 <= number < 0:
                assert torch.allclose(latent, given[number], atol=1e-6)


def flow(window: int = 4, context: int = 1, eta: float = 1.0, times: Tensor = TIMES) -> FifoLayout:
    return layout_of(times, window, context, eta, clean_scales=1 - times[:-1])


def test_a_true_model_gives_its_clean_frames_in_a_flow_whatever_the_noise() -> None:
    clean = FrameNoise(1, (4, 3, 5)).at(0, 0)
    for eta in (0.0, 0.5, 1.0):
        layout = flow(eta=eta)
        queue = queue_of(NOTHING, layout, NOISE.at, number=-1)
        assert torch.equal(queue[-1], NOISE.at(-1, 0)), "pure noise at time 1"
        made = list(islice(run(lambda x, *_: clean.expand_as(x), queue, layout, NOISE.at, 0), 12))
        assert all(bool(later.isfinite().all()) for _, _, later in made)
        assert torch.allclose(made[-1][1][0], clean, atol=1e-5)
        assert torch.allclose(
            base_clip(lambda x, *_: clean.expand_as(x), layout, NOISE.at), clean.expand(4, -1, -1, -1), atol=1e-5
        )


def test_a_step_without_fresh_noise_is_eulers_step_of_the_flow() -> None:
    x, clean = (torch.stack([FrameNoise(seed, (4, 3, 5)).at(frame, 0) for frame in range(3)]) for seed in (2, 3))
    now, after = torch.tensor([1.0, 0.7, 0.3]), torch.tensor([0.7, 0.3, 0.0])
    velocity = (x - clean) / now.reshape(-1, 1, 1, 1)  # noise - clean
    expected = x + (after - now).reshape(-1, 1, 1, 1) * velocity
    stepped = ddim(x, clean, Levels(now, 1 - now), Levels(after, 1 - after), 0.0, None)
    assert torch.allclose(stepped, expected, atol=1e-5)


def test_a_flow_is_stable_diffusions_queue_in_another_variable() -> None:
    """x / (1 - t) is clean + sigma * noise with sigma = t / (1 - t); only time 1 has no such sigma."""
    times = TIMES[1:]
    sigmas = times / (1 - times)
    scaled, plain = flow(times=times), layout_of(sigmas, 4, 1, 1.0)
    denoise = lambda x, sigma, frame: alone(x, sigma, frame) + 0.1 * x.mean(0, keepdim=True) / (1 + sigma.reshape(-1, 1, 1, 1))  # noqa: E731

    def in_flow(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        return denoise(x / (1 - sigma.reshape(-1, 1, 1, 1)), sigma / (1 - sigma), frame)

    factor = scaled.levels.scale.reshape(-1, 1, 1, 1)
    queue = queue_of(NOTHING, plain, NOISE.at, number=-1)
    assert torch.allclose(queue_of(NOTHING, scaled, NOISE.at, number=-1), queue * factor, atol=1e-6)
    one = iterate(denoise, queue, plain, step_noise(plain, NOISE.at, 0), 0)
    other = iterate(in_flow, queue * factor, scaled, step_noise(scaled, NOISE.at, 0), 0)
    assert torch.allclose(other / scaled.after.scale.reshape(-1, 1, 1, 1), one, atol=1e-4)
    with pytest.raises(ValueError, match="coherent_tail: expected 0 for a flow model"):
        next(run(in_flow, queue, scaled, NOISE.at, 0, tail=CoherentTail(0.5)))
