"""Key frames of Rerender-A-Video: the authors' runs, one frame after another, as rows of one batch at each step."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import golden
import golden_video
import parity
import pytest
import torch
from golden_layers import weights_of
from layers import as_diffusers, diffusers_unet
from torch import Tensor
from zoetrope.hosts.diffusers.motion import unet_places
from zoetrope.models.edits.frame_table import FIRST_AND_PREVIOUS, FrameTable
from zoetrope.models.edits.shared_attention import SharedAttention, SharedInputs
from zoetrope.sampling.follow import carried, statistics, with_statistics
from zoetrope.video.frames.warp import warped

UP_PATH = {"down": 0.0, "mid": 0.0}
BATCHES = (("first", "direct_1"), ("first", "fused_1", "direct_2"))
"""Runs in lockstep. A run attends to the first one and to the one before it in its batch."""
FRAME = {"first": 0, "direct_1": 1, "fused_1": 1, "direct_2": 2}


def within(period: Iterable[float], step: int, total: int) -> bool:
    begin, end = period
    return total * begin <= step <= total * end


class Batch:
    """The runs of one batch; the mixing of pixels at masked steps, which the pack leaves out, is the file's own formula."""

    def __init__(self, runs: tuple[str, ...], tensors: dict[str, Tensor], c: dict[str, Any], noise_of: Callable[..., Tensor]):
        self.runs, self.c, self.noise_of = runs, c, noise_of
        self.inputs = {name[3:]: value for name, value in tensors.items() if name.startswith("in.")}
        self.levels = self.inputs["alphas_cumprod"][c["ddim_timesteps"]]
        self.clean: list[Tensor] = []
        """Predictions of each step, before they are changed."""

    def sample(self) -> Tensor:
        total = self.c["ddim_steps"]
        x = self.inputs["x_T"].repeat(len(self.runs), 1, 1, 1)
        direction = torch.zeros_like(x)
        for step in range(total):
            index = total - 1 - step
            level = self.levels[index]
            previous = self.levels[index - 1] if index else self.inputs["alphas_cumprod"][0]
            x = self.begun(x, direction, step, level)
            noise = self.noise_of(x, self.c["ddim_timesteps"][index])
            self.clean.append((x - (1 - level).sqrt() * noise) / level.sqrt())
            direction = (1 - previous).sqrt() * noise
            x = previous.sqrt() * self.followed(self.clean[-1], step) + direction
        return x

    def begun(self, x: Tensor, direction: Tensor, step: int, level: Tensor) -> Tensor:
        """Noised sources at the first denoising step, and the rows of fused runs at masked steps."""
        if step == int(self.c["ddim_steps"] * self.c["strength"]):
            sources = torch.cat([self.inputs[f"x0_{FRAME[run]}"] for run in self.runs])
            noises = torch.cat([self.inputs[f"{run}.noise_0"] for run in self.runs])
            x = level.sqrt() * sources + (1 - level).sqrt() * noises
        if step in self.c["steps_with_mask"] and "fused_1" in self.runs:
            row, x = self.runs.index("fused_1"), x.clone()
            noise = self.inputs[f"fused_1.noise_{1 + self.c['steps_with_mask'].index(step)}"]
            share, flat = self.inputs["fuse_mask"] * self.c["mask_strength"], self.inputs["noise_rescale"]
            rescaled = torch.maximum(1 - share, (1 - share**2).sqrt() * self.c["inner_strength"])
            rescaled = (1 - share) * (1 - flat) + rescaled * flat
            target = level.sqrt() * self.inputs["xtrg"] + (1 - level).sqrt() * noise
            kept = (1 - share) * (x[row] - direction[row]) + rescaled * direction[row]
            x[row] = (share * target + kept)[0]
        return x

    def followed(self, clean: Tensor, step: int) -> Tensor:
        """Colours, then shapes of the first row, in their ranges."""
        total = self.c["ddim_steps"]
        if within(self.c["ada_period"], step, total):
            clean = torch.cat([clean[:1], with_statistics(clean[1:], *statistics(clean[:1]))])
        if within(self.c["warp_period"], step, total):
            cells, trust, beyond = (torch.cat(part) for part in zip(*map(self.flow_of, self.runs), strict=True))
            # The authors' warp reads zeros beyond the picture; Follow Flow leaves these cells as they are.
            clean = carried(clean, cells, trust) * (1 - beyond)
        return clean

    def flow_of(self, run: str) -> tuple[Tensor, Tensor, Tensor]:
        """Cells of the first frame `(1, h, w)`, the trust in them, and the trust in what lies beyond the picture."""
        height, width = self.inputs["x_T"].shape[-2:]
        numbers = torch.arange(1.0, height * width + 1).reshape(1, 1, height, width)
        if run == "first":
            nothing = torch.zeros_like(numbers)
            return numbers[0].long() - 1, nothing, nothing
        found = warped(numbers, self.inputs[f"flow_{FRAME[run]}"], "nearest").round().long()
        trust, inside = self.inputs[f"warp_mask_{FRAME[run]}"], found > 0
        return (found[:, 0] - 1).clamp(min=0), trust * inside, trust * ~inside


def unet_of(c: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
    layout = golden_video.layout(
        c["model_channels"], c["channel_mult"], c["num_res_blocks"], [True] * len(c["channel_mult"]),
        context_dim=c["context_dim"], num_heads=c["num_heads"], use_linear_in_transformer=False,
    )  # fmt: skip
    unet = diffusers_unet(layout)
    unet.load_state_dict(as_diffusers(weights_of(tensors), unet))
    return unet


@pytest.mark.parametrize("runs", BATCHES, ids=" ".join)
@pytest.mark.parametrize("path", golden.claim("rerender_sampling*"))
@torch.inference_mode()
def test_sequential_runs_in_lockstep(path: Path, runs: tuple[str, ...]) -> None:
    """Attention, AdaIN and warp are the pack's, in the UNet of diffusers."""
    tensors, header = golden.read(path)
    c = golden.config(header)
    unet = unet_of(c, tensors)
    edit, frames = SharedAttention(), len(runs)
    edit.install(None, places := unet_places(unet))
    edit.give(SharedInputs(FrameTable(FIRST_AND_PREVIOUS).of(range(frames)), 2 * frames, levels=UP_PATH))
    context = torch.cat([tensors[f"in.{name}"].expand(frames, -1, -1) for name in ("uncond_context", "context")])

    def noise_of(x: Tensor, timestep: int) -> Tensor:
        negative, positive = unet(x.repeat(2, 1, 1, 1), timestep, context).sample.chunk(2)
        return negative + c["guidance"] * (positive - negative)

    batch = Batch(runs, tensors, c, noise_of)
    out = batch.sample()
    assert edit.acted == {name for name in places.self_attentions if name.startswith("up.")}
    for row, run in enumerate(runs):
        found = {run: out[row : row + 1], f"{run}.pred_x0": torch.stack([clean[row] for clean in batch.clean])}
        for name, ours in found.items():
            theirs = tensors[f"out.{name}"]
            error, tolerance = (ours - theirs).abs().max().item(), 1e-5 * theirs.abs().max().item()
            assert parity.within("Rerender-A-Video", f"{path.stem} {name}", "core", error, tolerance), name
