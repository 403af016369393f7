"""Predictions that follow a frame: Rerender-A-Video's AdaIN, and contents carried along a flow."""

from pathlib import Path

import golden
import parity
import pytest
import torch
from layers import noise
from zoetrope.sampling.follow import carried, statistics, with_statistics


@pytest.mark.parametrize("path", golden.claim("rerender_adain*"))
def test_as_the_published_code(path: Path) -> None:
    tensors, _ = golden.read(path)
    mean, spread = statistics(tensors["in.style"])
    content, own_mean, own_spread = tensors["in.content"], *statistics(tensors["in.content"])
    found = {
        "style_mean": mean,
        "style_std": spread,
        "controller": with_statistics(content, mean, spread),
        "plain_adain": (content - own_mean) / own_spread * spread + mean,
    }
    for name, out in found.items():
        error = (out - tensors[f"out.{name}"]).abs().max().item()
        assert parity.within("Rerender-A-Video", f"{path.stem} {name}", "core", error, 1e-5), name


def test_contents_are_carried_where_they_are_trusted() -> None:
    clean = noise(3, 4, 5, 6)
    cells = torch.arange(30).reshape(5, 6).repeat(3, 1, 1)
    cells[1] = cells[1].roll(1, -1)  # the anchor's contents one cell to the right
    trust = torch.zeros(3, 1, 5, 6)
    trust[1, :, :3], trust[2] = 1.0, 0.25
    out = carried(clean, cells, trust)
    assert torch.equal(out[0], clean[0])
    assert torch.equal(out[1, :, :3, 1:], clean[0, :, :3, :-1])
    assert torch.equal(out[1, :, 3:], clean[1, :, 3:])
    assert torch.allclose(out[2], 0.75 * clean[2] + 0.25 * clean[0], atol=1e-6)
    assert torch.equal(carried(clean, cells, torch.zeros_like(trust), anchor=2), clean)
