"""FIFO's queue against the original loop, iteration by iteration, from the noise that it drew."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import golden
import pytest
import torch
from einops import rearrange, reduce, repeat
from torch import Tensor
from zoetrope.sampling.fifo import (
    Denoiser,
    first_frame,
    queue_of,
    run,
)
from zoetrope.sampling.layout import FifoLayout
from zoetrope.sampling.schedule import LINEAR

FILES = golden.claim("fifo_*", unless=("fifo_schedules*",))


class Case:
    """One recorded run: its queue, the noise it drew, and the model behind it."""

    def __init__(self, path: Path):
        self.tensors, header = golden.read(path)
        self.path = path
        self.c = golden.config(header)
        alphas = self.tensors["ddim_alphas"].double()
        self.sigmas = ((1 - alphas) / alphas).sqrt()
        self.shape = FifoLayout(
            sigmas=self.sigmas,
            last=float(self.sigmas[0]),  # the published schedule steps from its first level to itself
            window=self.c["f"],
            context=self.c["f"] // 2 if self.c["lookahead"] else 0,
            eta=self.c["eta"],
        )
        self.first = self.c["f"] - len(self.sigmas)

    def noise(self, frame: int, step: int) -> Tensor:
        """Drawn by the original at the start, on entering, and inside a step (by iteration, window and place in it)."""
        context, places = self.shape.context, self.shape.places
        if step == 0:
            entered = frame - self.first - len(self.sigmas)
            place = frame - self.first + context
            return (self.tensors["init_noise"][0, :, place] if entered < 0 else self.tensors["enqueue_noise"][entered]).double()
        place = places - step
        iteration = frame - self.first + context - place
        if self.c["eta"] == 0:
            return torch.zeros(self.tensors["enqueue_noise"].shape[1:], dtype=torch.float64)
        stride = self.shape.window - context
        window = (place - context) // stride
        return self.tensors["step_noise"][iteration, window, place - window * stride].double()

    def spent(self, x: Tensor, level: Tensor) -> Tensor:
        """Our variable (clean + sigma * noise) in the original's."""
        return x / (1 + level**2).sqrt().reshape(-1, 1, 1, 1)


def closed_form(case: Case) -> Denoiser:
    times = case.tensors["ddim_timesteps"].double()

    def denoise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        seen = case.spent(x, sigma)
        t = times[(sigma[:, None] - case.sigmas[None]).abs().argmin(1)].reshape(-1, 1, 1, 1)
        mean = reduce(seen, "f c h w -> 1 c h w", "mean").tanh()
        wave = 0.05 * (2 * torch.pi * t / 1000).sin()
        return x - sigma.reshape(-1, 1, 1, 1) * (
            0.3 * seen + 0.1 * mean + wave + 0.02 * case.tensors["context"].double().mean()
        )

    return denoise


def videocrafter(case: Case) -> Denoiser:
    """The tiny VideoCrafter2 that the file names, as diffusers' UNet with our temporal layers, guided."""
    import golden_video
    from layers import as_diffusers, diffusers_unet
    from zoetrope.hosts.diffusers.motion import motion_in

    unet_case = golden_video.read(golden.sibling(case.path, case.path.stem, "unet_videocrafter2"))
    unet = diffusers_unet(unet_case.layout)
    unet.load_state_dict(as_diffusers(unet_case.spatial, unet))
    times, f = case.tensors["ddim_timesteps"], case.c["f"]

    def denoise(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        seen = case.spent(x, sigma).float()
        t = times[(sigma[:, None] - case.sigmas[None]).abs().argmin(1)]
        with motion_in(unet, unet_case.opened.motion, frames=f, fps=float(case.c["fps"])):
            halves = [
                unet(seen, t, repeat(case.tensors[name], "1 n d -> f n d", f=f)).sample.double()
                for name in ("context", "uncond_context")
            ]
        guided = halves[1] + case.c["cfg"] * (halves[0] - halves[1])
        return x - sigma.reshape(-1, 1, 1, 1) * guided

    return denoise


MODELS: dict[str, Callable[[Case], Denoiser]] = {"closed": closed_form, "unet": videocrafter}


@pytest.mark.parametrize("path", FILES)
def test_every_iteration_is_the_originals(path: Path) -> None:
    case = Case(path)
    levels = case.shape.levels.sigma
    tolerance = 1e-3 if case.c["denoiser"] == "unet" else 1e-4  # golden/videocrafter/README.md
    clip = rearrange(case.tensors["base_video"], "1 c f h w -> f c h w").double()
    queue = queue_of(clip, case.shape, case.noise)
    start = rearrange(case.tensors["queue_init"], "1 c q h w -> q c h w")
    assert (case.spent(queue, levels) - start).abs().max() < tolerance
    assert first_frame(clip, case.shape) == case.first
    outputs: list[Any] = []
    for frame, out, _ in run(MODELS[case.c["denoiser"]](case), queue, case.shape, case.noise, case.first):
        iteration = frame - case.first
        expected = case.tensors["popped"][iteration]
        last = torch.tensor([case.shape.last], dtype=torch.float64)
        assert (case.spent(out, last)[0] - expected).abs().max() < tolerance, iteration
        if frame >= 0:
            outputs.append(case.spent(out, last)[0])
        if iteration + 1 == case.c["iterations"]:
            break
    assert (torch.stack(outputs) - case.tensors["output"]).abs().max() < tolerance


@pytest.mark.parametrize("path", golden.claim("fifo_schedules*"))
def test_levels_are_those_of_the_published_schedule(path: Path) -> None:
    tensors, _ = golden.read(path)
    counts = sorted(int(key.rpartition("_")[2]) for key in tensors if key.startswith("timesteps_"))
    assert counts
    for count in counts:
        times = torch.linspace(0, 999, count, dtype=torch.float64).round().long()
        assert torch.equal(times, tensors[f"timesteps_{count}"].long())
        kept = 1 / (1 + LINEAR[times] ** 2)
        assert (kept - tensors[f"alphas_{count}"]).abs().max() < 1e-6
        before = torch.cat([kept[:1], kept[:-1]])
        sigma = ((1 - before) / (1 - kept) * (1 - kept / before)).sqrt()
        assert (sigma - tensors[f"sigmas_eta1_{count}"]).abs().max() < 1e-5
