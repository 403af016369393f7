"""DDIM inversion against the published code's trajectories, and its way back."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden
import parity
import pytest
import torch
from layers import noise
from torch import Tensor
from zoetrope.sampling.diffusion import spaced_sigmas
from zoetrope.sampling.inversion import inversion

FILES = golden.claim("ddim_inversion*")
Network = Callable[[Tensor, int], Tensor]


class Case:
    """One schedule and its networks, which take latents of constant variance and a timestep."""

    def __init__(self, path: Path, dtype: torch.dtype = torch.float32):
        tensors, header = golden.read(path)
        self.out = {name.removeprefix("out."): value for name, value in tensors.items() if name.startswith("out.")}
        self._given = {name.removeprefix("in."): value.to(dtype) for name, value in tensors.items() if name.startswith("in.")}
        self.kept = tensors["in.alphas_cumprod"].to(torch.float64)
        self.config: dict[str, Any] = json.loads(header["config"])
        self.x0 = self._given["x0"]

    def network(self, name: str) -> Network:
        mean, mix, variance = self._given["mean"], self._given["mix"], self.config["gauss_variance"]

        def gauss(x: Tensor, t: int) -> Tensor:
            a = float(self.kept[t])
            return (1 - a) ** 0.5 * (x - a**0.5 * mean) / (a * variance + 1 - a)

        def net(x: Tensor, t: int) -> Tensor:
            mixed = torch.einsum("dc,bchw->bdhw", mix, x) * (1 + t / 2000)
            return 0.8 * mixed.tanh() + 0.15 * torch.cos(torch.tensor(t / 150)).to(x) * x

        return {"gauss": gauss, "net": net}[name]

    def levels(self, steps: int) -> Tensor:
        """Sigmas, falling; the lowest is that of the first timestep, as in the published code."""
        timesteps = self._given[f"timesteps_{steps}"].long().sort().values
        kept = torch.cat([self.kept[:1], self.kept[timesteps]])
        return ((1 - kept) / kept).sqrt().flip(0)

    def denoiser(self, network: Network, steps: int, v: bool = False) -> Callable[[Tensor, Tensor], Tensor]:
        timesteps = self._given[f"timesteps_{steps}"].long().sort().values
        sigmas = ((1 - self.kept) / self.kept).sqrt()[timesteps]

        def denoise(y: Tensor, sigma: Tensor) -> Tensor:
            level = float(sigma[0])
            t = int(timesteps[int((sigmas - level).abs().argmin())])
            a = 1 / (1 + level**2)
            out = network(y * a**0.5, t)
            return y * a - out * level * a**0.5 if v else y - level * out

        return denoise

    def invert(self, name: str, steps: int, refine: int = 0, v: bool = False) -> list[Tensor]:
        """Latents of constant variance, from the clean ones up."""
        levels = self.levels(steps)
        start = self.x0 * (1 + levels[-1] ** 2).sqrt().to(self.x0)
        denoise = self.denoiser(self.network(name), steps, v)
        found = inversion(denoise, start, levels, refine, "v" if v else "eps")
        scaled = zip(found, levels.flip(0)[1:], strict=True)
        return [self.x0, *(y / (1 + level**2).sqrt().to(y) for y, level in scaled)]


@pytest.mark.parametrize("path", FILES)
def test_as_the_published_code(path: Path) -> None:
    case = Case(path)
    for steps in case.config["steps"]:
        for name in ("gauss", "net"):
            expected = case.out[f"{name}_{steps}.trajectory"]
            found = torch.stack(case.invert(name, steps))[:: steps // (len(expected) - 1)]
            error = ((found - expected).abs().max() / expected.abs().max()).item()
            assert parity.within("DDIM inversion", f"{path.stem} {name} {steps}", "core", error, 1e-4)
        expected = case.out[f"net_v_{steps}.last"]
        error = ((case.invert("net", steps, v=True)[-1] - expected).abs().max() / expected.abs().max()).item()
        assert parity.within("DDIM inversion", f"{path.stem} v {steps}", "core", error, 1e-4)


def sampled(denoise: Callable[[Tensor, Tensor], Tensor], x: Tensor, levels: Tensor) -> Tensor:
    """Euler's method, from and to latents of constant variance."""
    x = x * (1 + levels[0] ** 2).sqrt()
    for now, after in zip(levels[:-1], levels[1:], strict=True):
        x = x + (x - denoise(x, now.expand(len(x)))) * (after - now) / now
    return x / (1 + levels[-1] ** 2).sqrt()


@pytest.mark.parametrize("path", FILES)
def test_refined_to_the_end_sampling_leads_back_exactly(path: Path) -> None:
    case = Case(path, torch.float64)
    for steps in case.config["steps"][:2]:
        levels = case.levels(steps)
        for name in ("gauss", "net"):
            denoise = case.denoiser(case.network(name), steps)
            errors = []
            for refine in (0, 3, 400):
                top = case.invert(name, steps, refine)[-1]
                errors.append((sampled(denoise, top, levels) - case.x0).abs().max().item())
            assert errors[2] < 2e-13
            assert errors[0] > 0.05
            assert errors[1] < 0.25 * errors[0] if name == "gauss" else errors[1] < errors[0]
            expected = case.out[f"{name}_{steps}.exact_last"]
            assert ((top - expected).abs().max() / expected.abs().max()).item() < 1e-6


def test_v_prediction_and_scaled_latents_lead_back_as_well() -> None:
    """The same denoiser as a network that predicts v, and as one that was trained with clean latents times 0.7."""
    sigmas = spaced_sigmas(12).double()
    clean, mean = noise(3, 4, 5, 6).double(), noise(1, 4, 5, 6, seed=2).double()

    def gauss(y: Tensor, sigma: Tensor) -> Tensor:
        s = sigma.reshape(-1, 1, 1, 1) ** 2
        return (mean * s + y * 0.5) / (s + 0.5)

    def back(y: Tensor) -> Tensor:
        for now, after in zip(sigmas[:-1], sigmas[1:], strict=True):
            y = y + (y - gauss(y, now.expand(len(y)))) * (after - now) / now
        return y

    plain = list(inversion(gauss, clean, sigmas))
    assert len(plain) == 12
    for more in ({"prediction": "v"}, {"scale": lambda sigma: 0.7}, {"prediction": "v", "scale": lambda sigma: 0.7}):
        errors = [
            (back(list(inversion(gauss, clean, sigmas, refine, **more))[-1]) - clean).abs().max() for refine in (0, 3, 400)
        ]
        assert errors[2] < 1e-12
        assert errors[1] < 0.5 * errors[0]


def test_inversion_of_a_part_of_the_sampling() -> None:
    """Up to a level below the highest, and on from there: the same steps."""

    def shrink(y: Tensor, sigma: Tensor) -> Tensor:
        return 0.3 * y

    sigmas, x = spaced_sigmas(6), noise(2, 4, 4, 4)
    whole = list(inversion(shrink, x, sigmas, 1))
    lower = list(inversion(shrink, x, sigmas[2:], 1))
    assert torch.equal(lower[-1], whole[3])
    assert torch.equal(list(inversion(shrink, lower[-1], sigmas[:3], 1))[-1], whole[-1])


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ([], "expected one step or more .2 noise levels., got 0"),
        ([3.0], "got 1 noise levels; raise steps or denoise"),
        ([0.0, 1.0, 3.0], "expected noise levels that fall, .* got 0, 1, 3, ...; remove Flip Sigmas"),
        ([3.0, float("nan")], "expected noise levels that fall"),
        ([3.0, -1.0], "expected noise levels that fall"),
    ],
)
def test_sigmas_that_are_none_of_a_sampling_are_refused(sigmas: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        list(inversion(lambda y, sigma: y, torch.zeros(1, 4, 2, 2), torch.tensor(sigmas)))
