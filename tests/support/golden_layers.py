"""Layers of golden files."""

from pathlib import Path

import parity
import torch


def within(ours: torch.Tensor, theirs: torch.Tensor, path: Path) -> bool:
    """golden/video/README.md: 2e-4 times the largest value."""
    error, tolerance = (ours - theirs).abs().max().item(), 2e-4 * theirs.abs().max().item()
    return parity.within(FAMILIES_OF[path.stem.split("_")[0]], path.stem, "core", error, tolerance)


FAMILIES_OF = {
    "lavie": "LaVie and SEINE",
    "svd": "Stable Video Diffusion",
    "modelscope": "ModelScope",
    "uav": "Upscale-A-Video",
}


def weights_of(tensors: dict[str, torch.Tensor], unless: str = "rotary_emb") -> dict[str, torch.Tensor]:
    return {key[2:]: value for key, value in tensors.items() if key.startswith("w.") and unless not in key}
