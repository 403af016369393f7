"""Coherent tail: the published formulas, the pack's form with variance 1, the queue with it, resumed."""

from itertools import islice
from pathlib import Path

import golden
import pytest
import torch
from einops import rearrange
from torch import Tensor
from zoetrope.sampling.fifo import first_frame, queue_of, run
from zoetrope.sampling.frequency import LowPass, mixed_frequencies
from zoetrope.sampling.layout import FifoLayout
from zoetrope.sampling.noise import FrameNoise, motion_noise_scale
from zoetrope.sampling.queue import QueueSettings
from zoetrope.sampling.schedule import LINEAR
from zoetrope.sampling.tail import CoherentTail, low_band, mixed_tail, raised

NOISE = FrameNoise(seed=7, shape=(4, 6, 8))
LAYOUT = FifoLayout(LINEAR[torch.linspace(0, 999, 9).round().long()[1:]].float(), 0.0, 4, 1, 1.0, 1)


def gaussian(space: float, time: float) -> LowPass:
    return LowPass("gaussian", space=space, time=time)


@pytest.mark.parametrize("path", golden.claim("ouroboros_tail"))
def test_the_published_tail(path: Path) -> None:
    """DDPM's forward steps are one addition of noise; then the published mix gives the frame that enters."""
    tensors, _ = golden.read(path)
    first = int(tensors["ddim_timesteps"][-2]) + 1
    betas = tensors["betas"].double()
    signal = (1 - betas).cumprod(0)
    levels = [float(((1 - at) / at).sqrt()) for at in (signal[first - 1], signal[-1])]
    noise = torch.zeros_like(tensors["forward_noise"][0]).double()
    for beta, drawn in zip(betas[first:], tensors["forward_noise"].double(), strict=True):
        noise = (1 - beta).sqrt() * noise + beta.sqrt() * drawn
    noise = noise / (1 - signal[-1] / signal[first - 1]).sqrt()  # of all steps together, variance 1
    last = tensors["queue"][:, :, -1:].double()
    scaled = last * (1 + levels[0] ** 2) ** 0.5  # clean + level * noise
    forward = raised(scaled, levels[0], levels[1], noise)
    assert torch.allclose(forward.float(), tensors["tail_forward"], atol=1e-5)

    published = gaussian(0.25, 1.0)
    _, _, height, width = forward[:, :, 0].shape
    assert torch.allclose(published.at(1, height, width).float().expand_as(tensors["filter"]), tensors["filter"], atol=1e-5)
    frames = (rearrange(x, "1 c t h w -> t c h w") for x in (forward, tensors["eta"].double()))
    entering = rearrange(mixed_frequencies(*frames, published), "t c h w -> 1 c t h w")
    queue = torch.cat([tensors["queue"][:, :, 1:].double(), entering], 2)
    assert torch.allclose(queue.float(), tensors["queue_out"], atol=1e-5)


@pytest.mark.parametrize("path", golden.claim("ouroboros_mix_volumes"))
def test_the_published_mix_of_volumes(path: Path) -> None:
    tensors, _ = golden.read(path)
    numbers = [key.removeprefix("stop_") for key in tensors if key.startswith("stop_")]
    assert len(numbers) == 4
    x, noise = (rearrange(tensors[name].double(), "b c t h w -> b t c h w") for name in ("x", "noise"))
    for number in numbers:
        space, time = tensors[f"stop_{number}"].tolist()
        chosen = gaussian(space, time)
        shares = chosen.at(*tensors["x"].shape[-3:])
        assert torch.allclose(shares.float(), tensors[f"filter_{number}"], atol=1e-5)
        for low, high, expected in zip(x, noise, tensors[f"mixed_{number}"], strict=True):
            mixed = mixed_frequencies(low, high, chosen)
            assert torch.allclose(mixed.float(), rearrange(expected, "c t h w -> t c h w"), atol=1e-5)


@pytest.mark.parametrize("path", golden.claim("motion_noise_scale"))
def test_the_published_noise_by_motion(path: Path) -> None:
    tensors, _ = golden.read(path)
    video, scale, found = rearrange(tensors["video"], "1 c t h w -> t c h w"), 0.8, []
    for end in range(5, len(video) + 1, 4):
        scale = motion_noise_scale(video[end - 5 : end], scale)
        found.append([scale, int(1000 * scale) - 100])
    assert torch.allclose(torch.tensor(found), tensors["noise_scale_and_step"], atol=1e-5)


@pytest.mark.parametrize("strength", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("size", [(8, 8), (5, 9)])
def test_the_variance_stays_1_at_every_frequency(strength: float, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    previous, fresh = (torch.randn(20_000, *size, generator=generator) for _ in range(2))
    mixed = mixed_tail(previous, fresh, strength * low_band(*size))
    power = torch.fft.fft2(mixed).abs().square().mean(0) / mixed[0].numel()
    assert torch.allclose(power, torch.ones(size), atol=0.06)  # 4 deviations of the mean of 20,000 real values
    published = torch.fft.fft2(previous) * low_band(*size) * 0.607 + torch.fft.fft2(fresh) * (1 - low_band(*size) * 0.607)
    assert float(published[:, 0, 0].abs().square().mean()) / mixed[0].numel() < 0.6


def test_a_raised_frame_has_variance_1() -> None:
    generator = torch.Generator().manual_seed(0)
    clean, noise, more = (torch.randn(100_000, generator=generator) for _ in range(3))
    assert float(raised(clean + 3 * noise, 3.0, 5.0, more).var()) == pytest.approx(1, abs=0.02)
    assert torch.equal(raised(clean, 2.0, 2.0, more), clean / 5**0.5)


def shrink(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
    level = sigma.reshape(-1, 1, 1, 1)
    return 0.8 * x / (1 + level) + 0.1 * x.mean(0, keepdim=True) / (1 + level) + 0.01 * frame.reshape(-1, 1, 1, 1).sin()


def made(
    frames: int, tail: CoherentTail | None, queue: Tensor | None = None, frame: int | None = None
) -> list[tuple[int, Tensor, Tensor]]:
    clip = torch.stack([FrameNoise(1, NOISE.shape).at(number, 0) for number in range(4)])
    queue = queue_of(clip, LAYOUT, NOISE.at) if queue is None else queue
    start = first_frame(clip, LAYOUT) if frame is None else frame
    return list(islice(run(shrink, queue, LAYOUT, NOISE.at, start, tail=tail), frames))


def test_a_resumed_shot_has_the_same_bits() -> None:
    tail = CoherentTail(0.6, frozenset({11}))
    whole = made(20, tail)
    for cut in range(1, 20):
        number, _, queue = whole[cut - 1]
        for (_, resumed, left), (_, expected, right) in zip(made(20 - cut, tail, queue, number + 1), whole[cut:], strict=True):
            assert torch.equal(resumed, expected)
            assert torch.equal(left, right)


def test_0_and_a_hard_cut_leave_the_noise_as_it_is() -> None:
    plain = made(12, None)
    for (_, one, queue), (_, other, same) in zip(plain, made(12, CoherentTail(0.0)), strict=True):
        assert torch.equal(one, other)
        assert torch.equal(queue, same)
    scale = (1 + LAYOUT.sigmas[-1] ** 2).sqrt()
    for number, _, queue in made(12, CoherentTail(1.0, frozenset({9}))):
        entered = number + len(LAYOUT.sigmas)
        assert torch.equal(queue[-1], scale * NOISE.at(entered, 0)) == (entered == 9)


def test_neighbours_share_low_frequencies_alone() -> None:
    queues = [queue for _, _, queue in made(200, CoherentTail(1.0))]
    pairs = [(torch.fft.fft2(queue[-2]), torch.fft.fft2(queue[-1])) for queue in queues]

    def correlation(row: int, column: int) -> float:
        one, two = (torch.stack([pair[side][:, row, column] for pair in pairs]).flatten() for side in (0, 1))
        return float((one * two.conj()).sum().abs() / (one.norm() * two.norm()))

    kept = float((1 + LAYOUT.sigmas[-2] ** 2).sqrt() / (1 + LAYOUT.sigmas[-1] ** 2).sqrt())  # by the noise added on entering
    assert 0.3 < kept < 0.6
    assert correlation(0, 0) == pytest.approx(kept, abs=0.15)
    assert correlation(3, 4) < 0.15


def test_the_setting_is_in_a_journal_only_where_it_is_on() -> None:
    assert "coherent tail" not in QueueSettings().settings(LAYOUT)
    assert QueueSettings(coherent_tail=0.4).settings(LAYOUT)["coherent tail"] == 0.4
    assert QueueSettings().tail(frozenset()) is None
    assert QueueSettings(coherent_tail=0.4).tail(frozenset({3})) == CoherentTail(0.4, frozenset({3}))


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan")])
def test_a_strength_out_of_range_is_refused(strength: float) -> None:
    with pytest.raises(ValueError, match=r"coherent_tail: expected 0 to 1, got"):
        CoherentTail(strength)
