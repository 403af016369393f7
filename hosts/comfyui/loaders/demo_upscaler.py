"""The embedded upscaler as the host's types: a small x4 upscaler of Stable Diffusion's design."""

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

DEPTHS = [0] * (UPSCALER_LEVELS - 1) + [1]
"""Transformer blocks per level: on the lowest level only."""

LAYOUT: dict[str, Any] = UNET_LAYOUT | {
    "in_channels": 7,
    "num_res_blocks": [UPSCALER_BLOCKS] * UPSCALER_LEVELS,
    "channel_mult": [1] * UPSCALER_LEVELS,
    "transformer_depth": DEPTHS,
    "transformer_depth_output": [depth for depth in DEPTHS for _ in range(UPSCALER_BLOCKS + 1)],
}


class UpscalerConfig(comfy.supported_models.SD_X4Upscaler):
    """The host's config of the x4 upscaler, with two heads, self-attention and fewer noise levels."""

    unet_extra_config = {"num_heads": HEADS, "num_head_channels": -1, "num_classes": NOISE_LEVELS + 1}  # noqa: RUF012


@dataclass(frozen=True)
class HostUpscaler:
    """The embedded upscaler's parts as the host's types."""

    model: Any
    """The image upscaler; Apply Motion Module adds the temporal layers."""
    clip: Any
    vae: Any
    motion: HostMotion


def load_upscaler_demo(folder: Path = FOLDER) -> HostUpscaler:
    """Loads the embedded upscaler. Raises ValueError where a file is missing, corrupt or another model's."""
    model = unet_part(UPSCALER, UpscalerConfig, LAYOUT, folder)
    vae = load_temporal_vae(str(part_path(UPSCALER_VAE, folder)))
    # trained on captions without frame rate and ground
    return HostUpscaler(model, demo_clip(folder, completes=False), vae, load(str(part_path(UPSCALER_MOTION, folder))))
