"""Embeddings and schedules against the original code (golden/video/embeddings)."""

from pathlib import Path

import golden
import pytest
import torch
from torch import Tensor
from unused_options import edm_sigmas, linear_guidance
from zoetrope.models.layers.positions import rotary_angles, sinusoid
from zoetrope.sampling.schedule import v_scalings


def recompute(name: str, like: Tensor, inputs: dict[str, Tensor]) -> Tensor:
    """Our value for one output of the file."""
    width = like.shape[-1]
    if name.startswith(("ldm_cos_sin_", "diffusers_flip_", "modelscope_")):
        return sinusoid(inputs["args"], width)
    if name.startswith("diffusers_noflip_shift1_"):
        return sinusoid(inputs["args"], width, sin_first=True, shift=1)
    if name.startswith("rope"):
        return rotary_angles(like.shape[0], 2 * width)
    if name == "svd_frame_index_embedding":
        return sinusoid(torch.arange(like.shape[0]), width)
    if name == "svd_vector":
        return torch.cat([sinusoid(column, width // 3) for column in inputs["svd_args"].T], dim=-1)
    if name == "svd_sigmas_edm":
        return edm_sigmas(like.shape[0])
    if name == "svd_linear_cfg_scale":
        return linear_guidance(like.shape[0], float(like[0]), float(like[-1]))
    return v_scalings(inputs["sigmas"])[("svd_c_skip", "svd_c_out", "svd_c_in", "svd_c_noise").index(name)]


@pytest.mark.parametrize("path", golden.claim("embeddings*"))
def test_embeddings_are_the_references(path: Path) -> None:
    tensors, _ = golden.read(path)
    inputs = {key[3:]: value for key, value in tensors.items() if key.startswith("in.")}
    outputs = {key[4:]: value for key, value in tensors.items() if key.startswith("out.")}
    assert outputs
    for name, theirs in outputs.items():
        ours = recompute(name, theirs, inputs)
        # timesteps reach 999, where neighbouring float32 numbers are 6e-5 apart, and libraries differ in the last bit of the
        # frequencies; 2e-4 where arguments are larger; sigmas reach 700, so relative
        tolerance = 2e-4 if name.startswith("modelscope") else 1e-4
        error = (ours - theirs).abs() / theirs.abs().clamp(min=1)
        assert error.max().item() <= tolerance, name
