"""The embedded upscaler as the host's own types: Stable Diffusion's x4 upscaler in small."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.supported_models

from ....demo.layout import (
    FOLDER,
    HEADS,
    NOISE_LEVELS,
    UPSCALER,
    UPSCALER_BLOCKS,
    UPSCALER_LEVELS,
    UPSCALER_MOTION,
    UPSCALER_VAE,
    part_path,
)
from ..motion.apply import HostMotion, load
from ..vae.from_file import load_temporal_vae
from .demo import UNET_LAYOUT, demo_clip, unet_part

DEEP = [0] * (UPSCALER_LEVELS - 1) + [1]
"""Transformers: on the lowest level only."""

LAYOUT: dict[str, Any] = UNET_LAYOUT | {
    "in_channels": 7,
    "num_res_blocks": [UPSCALER_BLOCKS] * UPSCALER_LEVELS,
    "channel_mult": [1] * UPSCALER_LEVELS,
    "transformer_depth": DEEP,
    "transformer_depth_output": [depth for depth in DEEP for _ in range(UPSCALER_BLOCKS + 1)],
}


class UpscalerConfig(comfy.supported_models.SD_X4Upscaler):
    """The published upscaler with two heads, self-attention and fewer noise levels."""

    unet_extra_config = {"num_heads": HEADS, "num_head_channels": -1, "num_classes": NOISE_LEVELS + 1}  # noqa: RUF012


@dataclass(frozen=True)
class HostUpscaler:
    """The embedded upscaler in the host's hands."""

    model: Any
    """The image upscaler: temporal layers come with Apply Motion Module."""
    clip: Any
    vae: Any
    motion: HostMotion


def load_upscaler_demo(folder: Path = FOLDER) -> HostUpscaler:
    """Raises ValueError where a file is missing, corrupt or another model's."""
    model = unet_part(UPSCALER, UpscalerConfig, LAYOUT, folder)
    vae = load_temporal_vae(str(part_path(UPSCALER_VAE, folder)))
    # it was trained on captions without a rate, and its frames show the ground
    return HostUpscaler(model, demo_clip(folder, completes=False), vae, load(str(part_path(UPSCALER_MOTION, folder))))
