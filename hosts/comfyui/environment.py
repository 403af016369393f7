"""Device, precision and versions, which the bits of a picture depend on besides its settings; memory of the device."""

from collections.abc import Mapping
from typing import Any

import comfy.ldm.modules.attention as comfy_attention
import comfy.model_management
import comfyui_version
import torch

from ...shots.journal import Scalar


def made_with(model: Any, vae: Any) -> Mapping[str, Scalar]:
    """What a MODEL and a VAE run with, by the names that users see."""
    device = comfy.model_management.get_torch_device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    sampled_in = model.model.manual_cast_dtype or model.model_dtype()
    return {
        "device": name, "precision": str(sampled_in), "VAE precision": str(getattr(vae, "vae_dtype", "")),
        "attention": comfy_attention.optimized_attention.__name__, "torch": torch.__version__,
        "ComfyUI": comfyui_version.__version__,
    }  # fmt: skip


def free_memory() -> int:
    """Free bytes of the device, those that torch has reserved included, and a new count of its peak; 0 without a GPU."""
    device = comfy.model_management.get_torch_device()
    if device.type != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats(device)
    return comfy.model_management.get_free_memory(device) + torch.cuda.memory_allocated(device)


def peak_memory() -> int:
    """Largest number of allocated bytes of the device since `free_memory`; 0 without a GPU."""
    device = comfy.model_management.get_torch_device()
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
