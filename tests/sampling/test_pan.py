"""Text2Video-Zero's pan of the latents and motion dynamics against its own code."""

from collections.abc import Callable
from pathlib import Path

import golden
import parity
import pytest
import torch
from einops import rearrange
from torch import Tensor
from zoetrope.sampling.pan import GRID, motion_dynamics, motion_field, panned


def swirl(frames: int) -> Tensor:
    """The file's uneven motion, by its formula."""
    line = torch.arange(GRID, dtype=torch.float32)
    y, x, i = line[:, None], line[None], torch.arange(frames).reshape(-1, 1, 1)
    right, down = 20 * torch.sin(y / 70 + i), 14 * torch.cos(x / 55 - 2 * i)
    return torch.stack([right.expand(frames, GRID, GRID), down.expand(frames, GRID, GRID)], dim=1)


@pytest.mark.parametrize("path", golden.claim("t2vzero_warp*"))
def test_a_pan_is_that_of_the_published_code(path: Path) -> None:
    tensors, header = golden.read(path)
    latent, frames = tensors["in.latent"][0, :, 0], tensors["in.frame_ids"]
    motions = {f"{x}_{y}": motion_field((x, y), frames) for x, y in golden.config(header)["strengths_px_of_512"]}
    motions["swirl"] = swirl(len(frames))
    for name, motion in motions.items():
        expected = rearrange(tensors[f"out.warped_{name}"], "1 c f h w -> f c h w")
        error = (panned(latent, motion) - expected).abs().max().item()
        assert parity.within("Text2Video-Zero", f"{path.stem} {name}", "core", error, 0.0), name


Denoiser = Callable[[Tensor, int], Tensor]


def denoiser(tensors: dict[str, Tensor], cfg: float) -> Denoiser:
    """The file's formula: the guided noise in frames `(f, c, h, w)` of constant variance."""
    text = tensors["in.text"].mean(dim=1)[..., None, None]

    def predict(x: Tensor, t: int) -> Tensor:
        shared = 0.6 * torch.einsum("dc,fchw->fdhw", tensors["in.mix"], x).tanh() + 0.3 * x[:1]
        negative, positive = (shared + 0.1 * half * torch.cos(torch.tensor(t / 300)) for half in text)
        return negative + cfg * (positive - negative)

    return predict


def sampled(predict: Denoiser, x: Tensor, timesteps: list[int], kept: Tensor) -> dict[int, Tensor]:
    """DDIM from the first timestep down: what enters the step of each, and under 0 what leaves the last."""
    entering = {}
    for t, after in zip(timesteps, [*timesteps[1:], 0], strict=True):
        entering[t], e = x, predict(x, t)
        clean = (x - (1 - kept[t]).sqrt() * e) / kept[t].sqrt()
        x = kept[after].sqrt() * clean + (1 - kept[after]).sqrt() * e
    return {**entering, 0: x}


@pytest.mark.parametrize("path", golden.claim("t2vzero_motion"))
def test_motion_dynamics_are_those_of_the_published_code(path: Path) -> None:
    tensors, header = golden.read(path)
    config, kept = golden.config(header), tensors["in.alphas_cumprod"]
    times = [int(t) for t in tensors["in.timesteps"]]
    low, high = (sorted(times)[config[name]] for name in ("t0_index", "t1_index"))
    predict = denoiser(tensors, config["guidance_scale"])
    first = sampled(predict, tensors["in.xT"][0, :, 0][None], times, kept)
    strength = (config["motion_field_strength_x"], config["motion_field_strength_y"])
    motion = motion_field(strength, tensors["in.frame_ids"][1:])
    noise = rearrange(tensors["in.noise"], "1 c f h w -> f c h w")
    share = float(kept[high - 1] / kept[low - 1])  # as in the published code, one timestep early
    clip = motion_dynamics(first[low][0], first[high][0], motion, noise, share)
    out = sampled(predict, clip, [t for t in times if t <= high], kept)[0]
    found = {"x_t0_first": first[low], "x_t1_first": first[high], "x0_first": first[0], "x_t1": clip, "x0": out}
    for name, each in found.items():
        expected = rearrange(tensors[f"out.{name}"], "1 c f h w -> f c h w")
        error = ((each - expected).abs().max() / expected.abs().max()).item()
        assert parity.within("Text2Video-Zero", f"{path.stem} {name}", "core", error, 1e-4), name
