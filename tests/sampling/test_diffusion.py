"""Diffusion arithmetic: v and back, the sampler against known answers, one noise level per frame."""

import pytest
import torch
from layers import noise
from torch import Tensor
from zoetrope.sampling.diffusion import SD_SIGMAS, add_noise, euler, spaced_sigmas, timesteps, v_denoiser, velocity


def test_a_perfect_v_gives_the_clean_frames_back() -> None:
    clean, dirt = noise(5, 4, 8, 8), noise(5, 4, 8, 8, seed=2)
    times = torch.tensor([0, 10, 500, 900, 999])
    sigma = SD_SIGMAS[times]

    def predict(x: Tensor, asked: Tensor) -> Tensor:
        assert torch.equal(asked, times)
        assert torch.allclose(x, add_noise(clean, dirt, sigma), atol=1e-5)
        return velocity(clean, dirt, sigma)

    x = clean + sigma[:, None, None, None] * dirt
    assert torch.allclose(v_denoiser(predict)(x, sigma), clean, atol=1e-4)


def test_noised_frames_keep_unit_variance() -> None:
    clean, dirt = noise(3, 4, 64, 64), noise(3, 4, 64, 64, seed=2)
    x = add_noise(clean, dirt, torch.tensor([0.0, 1.0, 14.6]))
    assert torch.equal(x[0], clean[0])
    assert x.std((1, 2, 3)) == pytest.approx([1, 1, 1], abs=0.03)


def test_the_schedule_is_stable_diffusions() -> None:
    """Ends as ComfyUI's ModelSamplingDiscrete and k-diffusion have them."""
    assert float(SD_SIGMAS[0]) == pytest.approx(0.0292, abs=1e-4)
    assert float(SD_SIGMAS[-1]) == pytest.approx(14.6146, abs=1e-3)
    sigmas = spaced_sigmas(25)
    assert len(sigmas) == 26
    assert sigmas[0] == SD_SIGMAS[-1]
    assert sigmas[-1] == 0
    assert (sigmas.diff() < 0).all()
    assert torch.equal(timesteps(SD_SIGMAS), torch.arange(1000))
    for steps in (0, 1001):
        with pytest.raises(ValueError, match="1 to 1000"):
            spaced_sigmas(steps)


def test_euler_is_exact_on_a_gaussian() -> None:
    """For data of mean m and deviation s, the probability flow ends at m + s (x - m) / sqrt(s^2 + sigma^2)."""
    mean, deviation = 2.0, 0.5

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        gain = deviation**2 / (deviation**2 + sigma[:, None] ** 2)
        return mean + gain * (x - mean)

    x = mean + noise(6, 1) * SD_SIGMAS[-1]
    end = mean + deviation * (x - mean) / (deviation**2 + SD_SIGMAS[-1] ** 2).sqrt()
    few, many = (euler(denoise, x, spaced_sigmas(steps)) for steps in (25, 400))
    assert (many - end).abs().max() < 0.02
    assert (many - end).abs().max() < (few - end).abs().max() / 5


def test_given_frames_stay_and_are_called_clean() -> None:
    given = torch.tensor([True, False, False, True])
    x = noise(4, 2)

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        assert torch.equal(sigma == 0, given)
        return torch.zeros_like(x)

    steps: list[int] = []
    out = euler(denoise, x, spaced_sigmas(5), given, steps.append)
    assert torch.equal(out[given], x[given])
    assert out[~given].abs().max() < 1e-5
    assert steps == [1, 2, 3, 4, 5]
