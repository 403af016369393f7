"""Guidance rescale, and DynamiCrafter's schedules, against the original code's figures."""

from pathlib import Path

import golden
import parity
import pytest
import torch
from einops import rearrange
from zoetrope.models.motion.families.videocrafter import MEMBERS, SCHEDULE, ZERO_SNR
from zoetrope.sampling.diffusion import SD_SIGMAS
from zoetrope.sampling.guidance import EVERYWHERE, Interval, limited, rescaled
from zoetrope.sampling.schedule import betas, scale_table, zero_terminal

FILES = golden.claim("schedules_dynamicrafter*")


def test_an_interval_between_shares_of_the_sampling() -> None:
    sigmas = torch.tensor([0.1, 1.0, 10.0, 100.0, 1000.0])
    interval = Interval.between(0.25, 0.625, sigmas)  # a quarter from the noisy end; halfway between 1 and 10
    assert (interval.low, interval.high) == pytest.approx((10**0.5, 100.0))
    held = interval.holds(torch.tensor([0.0, 3.1, 3.2, 10.0, 99.9, 100.1]))
    assert held.tolist() == [False, False, True, True, True, False]
    assert Interval.between(0.0, 1.0, sigmas) == EVERYWHERE
    assert Interval.between(0.0, 0.325, SD_SIGMAS).low == pytest.approx(3.01, abs=0.01)


def test_guidance_changes_nothing_outside_its_interval() -> None:
    conditional, unconditional = torch.tensor([[2.0], [4.0]]), torch.tensor([[1.0], [1.0]])
    plain = limited(conditional, unconditional, torch.tensor([True, False]))
    assert plain.tolist() == [[1.0], [4.0]]
    assert (plain + 3 * (conditional - plain)).tolist() == [[4.0], [4.0]]


@pytest.mark.parametrize("path", FILES)
def test_rescaled_guidance(path: Path) -> None:
    """The spread is that of a whole clip: each clip of the batch has its own."""
    tensors, _ = golden.read(path)
    guided, told, expected = (
        rearrange(tensors[name], "b c f h w -> (b f) c h w") for name in ("cfg_pred", "cond_pred", "cfg_rescaled_0_7")
    )
    error = (rescaled(guided, told, 0.7, clips=2) - expected).abs().max().item()
    assert parity.within("VideoCrafter and DynamiCrafter", f"{path.stem} rescale", "core", error, 1e-5)
    assert torch.equal(rescaled(guided, told, 0.0), guided)
    assert torch.allclose(rescaled(guided, told, 1.0).std(), told.std(), rtol=0.1)


@pytest.mark.parametrize("path", FILES)
def test_noise_schedules_and_scales(path: Path) -> None:
    """Betas and what is kept of the clean latent, with and without zero terminal SNR; the last level is near zero, not zero,
    so that a sampler's sigma stays finite."""
    tensors, _ = golden.read(path)
    for schedule, suffix in ((SCHEDULE, ""), (ZERO_SNR, "_zero_snr")):
        own = betas(schedule.curve, schedule.start, schedule.end, schedule.steps)
        own = zero_terminal(own) if schedule.zero_terminal else own
        kept = torch.cumprod(1 - own, dim=0)
        error = (kept - tensors[f"alphas_cumprod{suffix}"]).abs().max().item()
        assert parity.within("VideoCrafter and DynamiCrafter", f"{path.stem} kept{suffix}", "core", error, 1e-6)
        assert (own[:-1] - tensors[f"betas{suffix}"][:-1]).abs().max() < 1e-5
    for member, end in (("DynamiCrafter 512", "0.7"), ("DynamiCrafter 1024", "0.3")):
        scale = MEMBERS[member].scale
        assert scale
        ours = scale_table(scale.end, scale.until, 1000)
        assert (ours - tensors[f"scale_arr_base_{end}"][:1000]).abs().max() < 1e-6


@pytest.mark.parametrize("path", FILES)
def test_the_levels_of_ddim_are_those_of_the_timesteps(path: Path) -> None:
    """For every recorded spacing: a step's own level, the one it leads to, and its fresh noise (eta 1)."""
    tensors, _ = golden.read(path)
    kept = torch.cumprod(1 - zero_terminal(betas(ZERO_SNR.curve, ZERO_SNR.start, ZERO_SNR.end, 1000)), dim=0)
    for name in (key for key in tensors if key.startswith("ddim_timesteps_")):
        run = name.removeprefix("ddim_timesteps_")
        steps = tensors[name]
        now = kept[steps]
        after = torch.cat([kept[:1], now[:-1]])
        fresh = ((1 - after) / (1 - now) * (1 - now / after)).sqrt()
        for figure, ours in (("alphas", now), ("alphas_prev", after), ("sigmas", fresh)):
            error = (ours - tensors[f"ddim_{figure}_{run}"]).abs().max().item()
            assert error < 5e-4, (run, figure)  # the level next to pure noise, which is not quite that here
        if "trailing" in run:
            count = len(steps)
            assert steps.tolist() == [round(1000 - 1000 / count * (count - 1 - index)) - 1 for index in range(count)]
