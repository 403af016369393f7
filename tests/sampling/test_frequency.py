"""FreeInit's filters and mixtures against the published code."""

import re
from pathlib import Path

import golden
import parity
import pytest
import torch
from einops import rearrange
from layers import noise
from zoetrope.sampling.frequency import LowPass, mixed_frequencies


def chosen_by(name: str) -> LowPass:
    """`butterworth_n2_s03_t01`: the order, and both cutoffs with their point left out."""
    kind, *parts = name.split("_")
    if kind == "zero":
        return LowPass(space=0.0)
    values = {part[0]: part[1:] for part in parts}
    cutoffs = {axis: float(re.sub("^0", "0.", values[key])) for axis, key in (("space", "s"), ("time", "t"))}
    return LowPass(kind, int(values.get("n", 4)), **cutoffs)


@pytest.mark.parametrize("path", golden.claim("freeinit*"))
def test_as_the_published_code(path: Path) -> None:
    tensors, _ = golden.read(path)
    low, high = (rearrange(tensors[name], "1 c f h w -> f c h w") for name in ("out.z_T", "in.z_rand"))
    names = [key.removeprefix("out.filter.") for key in tensors if key.startswith("out.filter.")]
    assert len(names) >= 8
    for name in names:
        chosen, expected = chosen_by(name), tensors[f"out.filter.{name}"]
        error = (chosen.at(*expected.shape) - expected).abs().max().item()
        assert parity.within("FreeInit", f"{path.stem} filter {name}", "core", error, 1e-6)
        expected = rearrange(tensors[f"out.mixed.{name}"], "1 c f h w -> f c h w")
        error = ((mixed_frequencies(low, high, chosen) - expected).abs().max() / expected.abs().max()).item()
        assert parity.within("FreeInit", f"{path.stem} mixed {name}", "core", error, 2e-5)
    kept = float(tensors["out.alphas_cumprod_999"])
    z = kept**0.5 * tensors["in.x0"] + (1 - kept) ** 0.5 * tensors["in.initial_noise"]
    assert torch.allclose(z, tensors["out.z_T"], atol=1e-5)


def test_what_is_steady_and_flat_comes_from_the_earlier_result_and_what_alternates_from_the_fresh_noise() -> None:
    high, low = noise(8, 4, 6, 8, seed=1), noise(8, 4, 6, 8, seed=2)
    out = mixed_frequencies(low, high, LowPass())
    assert torch.allclose(out.mean(dim=(0, 2, 3)), low.mean(dim=(0, 2, 3)), atol=1e-5)
    alternating = (-1.0) ** torch.arange(8).reshape(-1, 1, 1, 1)
    assert torch.allclose((out * alternating).mean(dim=(0, 2, 3)), (high * alternating).mean(dim=(0, 2, 3)), atol=1e-4)
    assert out.std() == pytest.approx(1.0, abs=0.1)
    assert torch.allclose(mixed_frequencies(high, high, LowPass()), high, atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "sharp"}, "filter: expected one of butterworth, gaussian, ideal, box, got 'sharp'"),
        ({"space": 1.5}, "space_cutoff: expected 0 to 1, got 1.5"),
        ({"time": -0.1}, "time_cutoff: expected 0 to 1, got -0.1"),
        ({"order": 0}, "order: expected 1 or more, got 0"),
    ],
)
def test_filters_that_there_are_not_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LowPass(**settings)  # type: ignore[arg-type]
