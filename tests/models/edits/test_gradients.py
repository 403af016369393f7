"""Gradients through every kind of edit: those of the function that is computed, which stays the same."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import golden
import golden_video
import pytest
import torch
from layers import as_diffusers, diffusers_unet, noise, randomise
from torch import Tensor, nn
from zoetrope.hosts.diffusers.motion import motion_in, unet_places
from zoetrope.models.backbones.unet import sees
from zoetrope.models.layers.blend import Residual
from zoetrope.models.layers.positions import NoPositions
from zoetrope.models.layers.temporal import FrameAttention, TemporalConv, TemporalLayer
from zoetrope.models.layers.tokens import FrameRate, InBlockAttention
from zoetrope.models.motion.module import MotionModule

LAYOUT = {
    "in_channels": 4, "out_channels": 4, "model_channels": 32, "channel_mult": [1, 2], "num_res_blocks": [1, 1],
    "transformer_depth": [1, 0], "context_dim": 16, "num_heads": 4, "use_linear_in_transformer": False,
}  # fmt: skip
STEP = 3e-5
"""Large enough that the few numbers that layers cast to float32 (alphas, rotary angles) move by many of its steps."""


def slope_along(loss: Callable[[], Tensor], parameters: Iterable[nn.Parameter]) -> tuple[float, float]:
    """The derivative of a loss along one direction in the parameters: by autograd, and by central differences."""
    weights = [p.requires_grad_(True) for p in parameters]
    directions = [noise(*p.shape, seed=n).to(p) for n, p in enumerate(weights)]
    gradients = torch.autograd.grad(loss(), weights, allow_unused=True)
    assert all(gradient is not None for gradient in gradients), "a weight gets no gradient"
    exact = sum(float((g * d).sum()) for g, d in zip(gradients, directions, strict=True) if g is not None)
    ends = []
    with torch.no_grad():
        for sign in (1, -2):
            for p, d in zip(weights, directions, strict=True):
                p.add_(d, alpha=sign * STEP)
            ends.append(float(loss()))
        for p, d in zip(weights, directions, strict=True):
            p.add_(d, alpha=STEP).requires_grad_(False)
    return exact, (ends[0] - ends[1]) / (2 * STEP)


def check(call: Callable[[], Tensor], motion: nn.Module) -> None:
    """Autograd and differences agree, and the output stays the same (torch has other attention kernels for gradients)."""
    with torch.no_grad():
        plain = call()
    for parameter in motion.parameters():
        parameter.requires_grad_(True)
    assert torch.allclose(call().detach(), plain, rtol=0, atol=1e-11 * float(plain.abs().max()))
    target = noise(*plain.shape, seed=99).to(plain)
    exact, measured = slope_along(lambda: ((call() - target) ** 2).mean(), motion.parameters())
    assert exact == pytest.approx(measured, rel=1e-3)
    assert exact != 0


@pytest.mark.parametrize("path", golden_video.parameters())
def test_gradients_flow_through_every_family(path: Path) -> None:
    case = golden_video.read(path)
    unet = diffusers_unet(case.layout)
    unet.load_state_dict(as_diffusers(case.spatial, unet))
    unet, motion = unet.double().requires_grad_(False), case.opened.motion.double()
    x, context = case.sample.double(), case.context.double()
    classes = case.classes.double() if case.classes is not None and case.classes.is_floating_point() else case.classes

    def call() -> Tensor:
        return unet(x, case.timesteps, context, class_labels=classes).sample

    with motion_in(unet, motion, frames=case.frames):
        check(call, motion)


def layer_at(site: str, width: int) -> TemporalLayer:
    """A layer that a published family has at such a place."""
    if sees(site) == "rows":
        return FrameRate(16, width, nn)
    if sees(site) == "tokens":
        return InBlockAttention(FrameAttention(width, 4, width // 4, NoPositions(), nn), width, nn)
    return TemporalConv(width, 2, Residual(), nn)


def test_gradients_flow_through_a_layer_at_every_place_with_norms_over_the_clip() -> None:
    torch.manual_seed(0)
    unet: Any = diffusers_unet(LAYOUT).double().requires_grad_(False)
    widths = unet_places(unet).widths
    motion = MotionModule({site: layer_at(site, width) for site, width in widths.items()}, None, ("resnet", "out"), 8.0, True)
    randomise(motion)
    motion.double()
    x, context = noise(4, 4, 8, 8).double(), noise(4, 5, 16, seed=1).double()

    def call() -> Tensor:
        return unet(x, 300, context).sample

    with motion_in(unet, motion, frames=4, strength=0.5):
        check(call, motion)


@pytest.mark.host
@pytest.mark.parametrize("path", golden.borrow("lavie_base_unet*", "unet_videocrafter2*"))
def test_gradients_flow_in_the_host(tiny: Any, path: Path) -> None:
    """LaVie's layers change the hidden state inside a block, VideoCrafter's follow whole modules and the time embedding."""
    case = golden_video.read(path)
    layout = dict(case.layout)
    groups = layout.pop("groups", 32)
    base = tiny.model(layout, case.spatial, groups=groups)
    motion = tiny.host_motion(case.opened.motion.double(), case.opened.report)
    base.model.double()
    patched = tiny.applied(base, motion, 1.0, case.frames)
    tiny.load_unet(patched)
    arguments = (case.sample.double(), case.timesteps.double(), case.context.double())
    base.model.diffusion_model.dtype = torch.float64
    check(lambda: tiny.call_loaded_unet(patched, *arguments), motion.patcher.model)
    tiny.unload()
