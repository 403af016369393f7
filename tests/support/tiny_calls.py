"""Calls of the tiny UNet, and how near two outputs are."""

from typing import Any

import torch
from layers import noise
from torch import Tensor


def call(model: Any, frames: int = 4, chunks: int = 1) -> Tensor:
    """Output of a MODEL's UNet for the same frames and texts at every call."""
    from tiny_host import call_unet

    rows = frames * chunks
    with torch.inference_mode():
        return call_unet(model, noise(rows, 4, 8, 8), torch.full((rows,), 500.0), noise(rows, 7, 16), chunks=chunks).clone()


def near(found: Tensor, expected: Tensor) -> bool:
    """Whether two outputs differ by rounding only."""
    return bool((found - expected).abs().max() < 1e-5 * expected.abs().max())
