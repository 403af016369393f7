"""Occlusion, and flow at the size of latents, against Rerender-A-Video's code."""

from pathlib import Path

import golden
import parity
import pytest
import torch
from zoetrope.video.frames.occlusion import latent_flow, latent_trust, occluded, softened
from zoetrope.video.frames.warp import warped


@pytest.mark.parametrize("path", golden.claim("rerender_flow*"))
def test_as_the_published_code(path: Path) -> None:
    tensors, header = golden.read(path)
    forward, backward = tensors["in.fwd_flow"], tensors["in.bwd_flow"]
    config = golden.config(header)
    found = {
        "fwd_occ": occluded(forward, backward, config["alpha"], config["beta"])[:, 0],
        "bwd_occ": occluded(backward, forward, config["alpha"], config["beta"])[:, 0],
        "blend_mask": softened(occluded(backward, forward))[:, 0],
        "latent_mask": latent_trust(softened(occluded(backward, forward)))[:, 0],
        "latent_flow": latent_flow(backward),
        "latent_warped_nearest": warped(tensors["in.latent"], latent_flow(backward), "nearest"),
        "warped_bilinear": warped(tensors["in.image"], backward, "bilinear"),
        "warped_nearest": warped(tensors["in.image"], backward, "nearest"),
    }
    for name, out in found.items():
        expected = tensors[f"out.{name}"]
        error = (out.float() - expected).abs().max().item()
        assert parity.within("Rerender-A-Video", f"{path.stem} {name}", "core", error, 1e-5), name


def test_what_a_moving_square_uncovers_is_occluded() -> None:
    """A square moves right by 6 over a still ground: what was behind it is new, and so is trusted nowhere near."""
    there, back = torch.zeros(1, 2, 64, 64), torch.zeros(1, 2, 64, 64)
    there[:, 0, 24:40, 30:46] = -6.0  # from the second picture to the first
    back[:, 0, 24:40, 24:40] = 6.0
    found = occluded(there, back)[0, 0]
    assert bool(found[24:40, 24:30].all())  # uncovered
    assert not bool(found[:, 46:].any())
    assert not bool(found[24:40, 30:46].any())
    trust = latent_trust(softened(occluded(there, back)))[0, 0]
    assert trust.shape == (8, 8)
    assert trust[3, 3] == 0
    assert trust[0, 7] == 1
