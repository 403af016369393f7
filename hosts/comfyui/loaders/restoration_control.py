"""DiffBIR's restoration control as the host's CONTROL_NET."""

from typing import Any

import comfy.controlnet
import comfy.latent_formats
import comfy.model_management
import comfy.ops
import torch
from comfy.cldm.cldm import ControlNet as ControlNetwork
from comfy.ldm.modules.diffusionmodules.openaimodel import TimestepEmbedSequential
from torch import nn

from ....models.errors import WrongFile
from ....models.formats.strict import as_wrong_file, compare
from ....models.restorers.diffbir import DIFFBIR, RestorationControl, load_restoration_control


def load(path: str) -> comfy.controlnet.ControlNet:
    """Loads a file of DiffBIR as a CONTROL_NET, whose hint is a picture that Apply ControlNet encodes with the VAE.

    Raises WrongFile for other files and incomplete ones.
    """
    opened = load_restoration_control(path)
    manager, device = comfy.model_management, comfy.model_management.get_torch_device()
    dtypes = [torch.float16, torch.bfloat16, torch.float32]
    stored = next(iter(opened.control.values())).dtype
    dtype = manager.unet_dtype(model_params=-1, supported_dtypes=dtypes, weight_dtype=stored)
    try:
        network = network_of(opened, dtype)
    except WrongFile as error:
        raise WrongFile(f"{opened.file}: {error}") from error
    control = comfy.controlnet.ControlNet(
        network, load_device=device, manual_cast_dtype=manager.unet_manual_cast(dtype, device, dtypes), compression_ratio=1,
        latent_format=comfy.latent_formats.SD15(), extra_conds=[],
    )  # fmt: skip
    control.upscale_algorithm = "bicubic"  # of pictures of another size: the default repeats pixels
    return control


def network_of(opened: RestorationControl, dtype: torch.dtype) -> nn.Module:
    """The host's ControlNet network with the file's weights. Raises WrongFile for missing, unexpected and misshapen ones."""
    width, channels = opened.control["input_hint_block.0.weight"].shape[:2]
    ops = comfy.ops.manual_cast
    with as_wrong_file(DIFFBIR), torch.device("meta"):
        network = ControlNetwork(**opened.layout, operations=ops, dtype=dtype, device="meta")
        network.input_hint_block = TimestepEmbedSequential(ops.Conv2d(channels, width, 3, padding=1, bias=False, dtype=dtype))
        compare(network, opened.control, DIFFBIR, opened.table)
    weights: dict[str, Any] = {key: value.to(dtype) for key, value in opened.control.items()}
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False).eval()
