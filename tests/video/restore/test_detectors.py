"""Detectors of film damage against the golden derivation from the literature."""

from pathlib import Path

import golden
import parity
import pytest
import torch
from torch import Tensor
from zoetrope.video.restore.detectors import (
    line_difference,
    line_indicator,
    rod,
    rod_mask,
    sdi,
    sdi_ratio,
    sdi_same_sign,
    srod,
    temporal_median,
)


@pytest.mark.parametrize("path", golden.claim("film_detectors"))
def test_as_the_golden_derivation(path: Path) -> None:
    tensors, header = golden.read(path)
    clip, thresholds = tensors["in.clip"], tuple(golden.config(header)["thresholds"])
    before, now, after = clip[:-2], clip[1:-1], clip[2:]
    differences = rod(now, before, after)
    indicator = line_indicator(clip)
    found = {
        "sdi_a": framed(sdi(now, before, after)),
        "sdi_p": framed(sdi_same_sign(now, before, after)),
        "sdi_ratio": framed(sdi_ratio(now, before, after)),
        "srod": framed(srod(now, before, after)),
        **{f"rod_{n}": framed(one) for n, one in enumerate(differences, 1)},
        "rod_mask": framed(rod_mask(differences, thresholds).float()),
        "temporal_median": temporal_median(before, now, after),
        "line_difference": line_difference(clip),
        "line_indicator": indicator,
        "line_columns": indicator.mean(-2),
    }
    assert {f"out.{name}" for name in found} == {key for key in tensors if key.startswith("out.")}
    for name, out in found.items():
        error = (out - tensors[f"out.{name}"].float()).abs().max().item()
        assert parity.within("film damage", f"{path.stem} {name}", "core", error, 1e-6), name


def framed(inner: Tensor) -> Tensor:
    """Zeros for the first and the last frame."""
    return torch.cat([torch.zeros_like(inner[:1]), inner, torch.zeros_like(inner[:1])])


def test_a_speck_is_found_and_steady_things_are_not() -> None:
    frames = torch.rand(3, 8, 8) * 0.02 + 0.5
    frames[1, 4, 4] = 1.0
    frames[:, 2, 2] = 0.0
    for detector in (sdi, sdi_same_sign, srod):
        found = detector(frames[1], frames[0], frames[2]) > 0.1
        assert found.nonzero().tolist() == [[4, 4]], detector.__name__
