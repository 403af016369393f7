"""Latents carried along a flow."""

from pathlib import Path

import golden
import parity
import pytest
import torch
from einops import rearrange
from layers import noise
from zoetrope.video.frames.warp import Trust, at_size, propagate, trusted, warped


@pytest.mark.parametrize("path", golden.claim("uav_propagation*"))
def test_as_the_reference(path: Path) -> None:
    tensors, _ = golden.read(path)
    x, forward, backward = (
        rearrange(tensors[f"in.{name}"], "1 c f h w -> f c h w") for name in ("x", "flows_forward", "flows_backward")
    )
    usual = Trust(0.01, 0.5)
    found = {
        "pipeline_nearest_fuse": propagate(x, forward, backward),
        "bilinear_fuse_default_alphas": propagate(x, forward, backward, mode="bilinear", trust=usual),
        "bilinear_copy": propagate(x, forward, backward, 1.0, "bilinear", usual),
        "valid_mask_fw0_default": trusted(forward[:1], backward[:1], usual).float(),
        "valid_mask_fw0_pipeline": trusted(forward[:1], backward[:1]).float(),
    }
    for name, out in found.items():
        expected = tensors[f"out.{name}"]
        expected = rearrange(expected, "1 c f h w -> f c h w") if expected.ndim == 5 else expected
        error = (out - expected).abs().max().item()
        assert parity.within("Upscale-A-Video", f"{path.stem} {name}", "core", error, 1e-5), name
    pairs = {(i, j): (x[[i]], flow[[k]]) for k in range(5) for i, j, flow in ((k + 1, k, forward), (k, k + 1, backward))}
    for mode in ("bilinear", "nearest"):
        errors = [(warped(*pair, mode) - tensors[f"out.warp_{mode}"]).abs().max().item() for pair in pairs.values()]
        assert min(errors) <= 1e-5


def test_a_moving_picture_is_carried_along_and_what_appears_is_not() -> None:
    """A pattern moves right by one pixel per frame; its noise is averaged away, the column that enters stays as it is."""
    clean = torch.stack([noise(1, 1, 8, 40)[0].roll(n, -1) for n in range(8)])[..., 8:24]
    noisy = clean + 0.3 * noise(*clean.shape, seed=2)
    flow = torch.zeros(7, 2, 8, 16)
    flow[:, 0] = 1
    for mode in ("nearest", "bilinear"):
        out = propagate(noisy, flow, -flow, mode=mode)
        assert (out - clean)[3:5, ..., 4:12].square().mean() < 0.5 * (noisy - clean)[3:5, ..., 4:12].square().mean()
    untrue = propagate(noisy, flow, flow)  # there and back again do not meet
    assert torch.equal(untrue, noisy)


def test_a_flow_of_larger_pictures_is_averaged_and_scaled() -> None:
    flow = torch.zeros(1, 2, 16, 32)
    flow[:, 0], flow[:, 1] = 8.0, 2.0
    small = at_size(flow, (4, 16))
    assert small.shape == (1, 2, 4, 16)
    assert torch.equal(small[0, 0].unique(), torch.tensor([4.0]))
    assert torch.equal(small[0, 1].unique(), torch.tensor([0.5]))
