"""Noise schedules against the figures everybody knows, and against ComfyUI's own."""

import pytest
import torch
from zoetrope.sampling.schedule import betas, discrete_sigmas

KNOWN = {  # reference: model_sampling.sigmas of ComfyUI 0.3.64 for the same schedules
    ("root", 0.00085, 0.012): 14.6146,
    ("beta", 0.00085, 0.012): 25.15,
    ("root", 0.00085, 0.020): 65.93,
}


@pytest.mark.parametrize(("settings", "top"), KNOWN.items())
def test_the_highest_sigma_is_the_known_one(settings: tuple[str, float, float], top: float) -> None:
    assert discrete_sigmas(betas(*settings, 1000))[-1].item() == pytest.approx(top, rel=1e-3)


@pytest.mark.host
@pytest.mark.parametrize(("ours", "theirs"), [("beta", "sqrt_linear"), ("root", "linear")])
def test_the_hosts_names_are_swapped_and_its_sigmas_are_ours(ours: str, theirs: str) -> None:
    from types import SimpleNamespace

    from comfy.model_sampling import ModelSamplingDiscrete

    settings = {"beta_schedule": theirs, "linear_start": 0.00085, "linear_end": 0.012}
    host = ModelSamplingDiscrete(SimpleNamespace(sampling_settings=settings))
    sigmas = discrete_sigmas(betas(ours, 0.00085, 0.012, 1000))
    assert torch.allclose(host.sigmas.double(), sigmas, rtol=1e-4)


def test_an_unknown_curve_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the curve 'beta' or 'root', got 'linear'"):
        betas("linear", 0.1, 0.2, 10)
