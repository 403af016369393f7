"""Core's kinds of conditions, small enough for the tiny UNet: a picture or a place in each.

Import this only where a host is found: it imports comfy.
"""

from collections.abc import Callable
from typing import Any

import comfy.controlnet
import comfy.gligen
import comfy.hooks
import comfy.model_patcher
import comfy.ops
import tiny_host as tiny
import torch
from comfy.cldm.cldm import ControlNet as ControlNetwork
from comfy.cldm.cldm import ResBlockUnionControlnet
from layers import noise, randomise
from torch import Tensor, nn

Condition = Callable[[int, int], Any]
"""(frames, seed) to a CONDITIONING."""


def pictures(frames: int, seed: int) -> Tensor:
    """Hints `(f, 3, h, w)`."""
    return torch.rand(frames, 3, 64, 64, generator=torch.Generator().manual_seed(seed))


def _hinted(control: Any, frames: int, seed: int) -> Any:
    hinted = control.copy().set_cond_hint(pictures(frames, 40 + seed), 1.0)
    return tiny.text(seed=seed, control=hinted, control_apply_to_uncond=False)


def union() -> Any:
    """A ControlNet of several kinds; the host fixes the width of what chooses between them at 320, so it is put in smaller."""
    layout = {k: v for k, v in tiny.LAYOUT.items() if k not in ("out_channels", "transformer_depth_output")}
    network = ControlNetwork(
        **layout, hint_channels=3, operations=comfy.ops.manual_cast, dtype=torch.float32, device="cpu",
        union_controlnet_num_control_type=6,
    )  # fmt: skip
    network.task_embedding = nn.Parameter(torch.zeros(6, 32))
    network.transformer_layes = nn.Sequential(
        ResBlockUnionControlnet(32, 4, dtype=torch.float32, device="cpu", operations=comfy.ops.manual_cast)
    )
    network.spatial_ch_projs = nn.Linear(32, 32)
    randomise(network.requires_grad_(False), 8)
    control = comfy.controlnet.ControlNet(network.eval(), load_device=torch.device("cpu"), manual_cast_dtype=torch.float32)
    control.set_extra_arg("control_type", [2])
    return control


class Adapter(nn.Module):
    """A T2I-Adapter with one place: the UNet's first block."""

    unshuffle_amount = 8

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.PixelUnshuffle(8), nn.Conv2d(192, 32, 1))

    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        return {"input": [self.body(x)]}


def t2i() -> Any:
    adapter = randomise(Adapter().requires_grad_(False), 9).eval()
    return comfy.controlnet.T2IAdapter(adapter, 3, 8, "nearest-exact", torch.device("cpu"))


def gligen() -> Any:
    layers = [comfy.gligen.GatedSelfAttentionDense(width, 16, 2, width // 2) for width in (32, 64, 32, 32)]
    network = comfy.gligen.Gligen(layers, comfy.gligen.PositionNet(16, 16), 16)
    for number, (name, parameter) in enumerate(network.named_parameters()):
        parameter.data = noise(*parameter.shape, seed=number) * (1.0 if "alpha" in name else 0.2)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(network.eval(), cpu, cpu)


def lora_hook() -> Any:
    lora = {
        "lora_unet_middle_block_1_proj_in.lora_up.weight": noise(64, 2, seed=1),
        "lora_unet_middle_block_1_proj_in.lora_down.weight": noise(2, 64, seed=2),
    }
    return comfy.hooks.create_hook_lora(lora, 1.0, 0.0)


def conditions() -> dict[str, Condition]:
    """By the name of core's node."""
    control, one_of_many, adapter, boxes, hooks = tiny.controlnet(), union(), t2i(), gligen(), lora_hook()
    mask = torch.zeros(1, 64, 64)
    mask[:, :32] = 1

    def boxed(frames: int, seed: int) -> Any:
        placed = [(noise(1, 16, seed=seed), 4, 4, 2, 1)]
        return tiny.text(seed=seed, gligen=("position", boxes, placed))

    return {
        "Apply ControlNet": lambda frames, seed: _hinted(control, frames, seed),
        "Set Union ControlNet Type": lambda frames, seed: _hinted(one_of_many, frames, seed),
        "T2I-Adapter": lambda frames, seed: _hinted(adapter, frames, seed),
        "GLIGEN Textbox Apply": boxed,
        "Conditioning (Set Area)": lambda frames, seed: tiny.text(seed=seed) + tiny.text(seed=seed + 5, area=(4, 8, 0, 0)),
        "Conditioning (Set Mask)": lambda frames, seed: tiny.text(seed=seed) + tiny.text(seed=seed + 5, mask=mask),
        "Create Hook LoRA": lambda frames, seed: tiny.text(seed=seed, hooks=hooks),
        "Set Timesteps Range": lambda frames, seed: tiny.text(seed=seed, start_percent=0.0, end_percent=0.6),
    }


def plain(frames: int, seed: int) -> Any:
    return tiny.text(seed=seed)
