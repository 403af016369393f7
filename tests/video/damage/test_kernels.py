"""Kernels of Real-ESRGAN's degradations, against BasicSR's code."""

from pathlib import Path

import golden
import parity
import pytest
import torch
from zoetrope.video.damage.kernels import filtered, gaussian, generalised, plateau, sharpened, sinc


@pytest.mark.parametrize("path", golden.claim("realesrgan_kernels"))
def test_as_the_published_code(path: Path) -> None:
    tensors, header = golden.read(path)
    config = golden.config(header)
    iso, aniso, gen, plat = (list(config[name].values()) for name in ("iso", "aniso", "gen", "plat"))
    first, second = ((one["kernel_size"], one["cutoff"], one["pad_to"]) for one in (config["sinc"], config["sinc2"]))
    image, anisotropic, ringing = tensors["in.image"], gaussian(*aniso), sinc(*first)
    found = {
        "gaussian_iso": gaussian(iso[0], iso[1]),
        "gaussian_aniso": anisotropic,
        "generalized_aniso": generalised(*gen),
        "plateau_aniso": plateau(*plat),
        "sinc": ringing,
        "sinc_2": sinc(*second),
        "blurred": filtered(image, torch.stack([anisotropic, anisotropic.flip(0)])),
        "sinc_blurred": filtered(image, ringing),
        "usm": _usm(image, tensors["out.usm"]),
    }
    assert {f"out.{name}" for name in found} == {key for key in tensors if key.startswith("out.")}
    for name, out in found.items():
        error = (out - tensors[f"out.{name}"]).abs().max().item()
        tolerance = 1e-5 if name in ("usm", "blurred", "sinc_blurred") else 1e-6
        assert parity.within("Real-ESRGAN", f"{path.stem} {name}", "core", error, tolerance), name


def _usm(image: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    return sharpened(image[: len(expected)])


def test_kernels_keep_the_mean_of_small_pictures_too() -> None:
    for kernel in (gaussian(7, 1.0), generalised(9, 1, 2, 0.3, 0.7), plateau(9, 1, 2, 0.3, 1.5), sinc(7, 1.2, 21)):
        assert kernel.sum().item() == pytest.approx(1, abs=1e-6)
        assert torch.allclose(filtered(torch.full((1, 3, 24, 24), 0.4), kernel), torch.tensor(0.4), atol=1e-6)
        assert torch.allclose(filtered(torch.full((1, 3, 1, 5), 0.4), kernel), torch.tensor(0.4), atol=1e-6)
