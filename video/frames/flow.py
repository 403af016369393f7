"""Optical flow between frames, if OpenCV is installed (`pip install opencv-python-headless`). Nothing is downloaded."""

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

SMALLEST = 16
"""Least side in pixels: OpenCV's coarsest pyramid level."""


def has_flow() -> bool:
    """Whether OpenCV's optical flow is installed."""
    try:
        import cv2
    except ImportError:
        return False
    return hasattr(cv2, "DISOpticalFlow_create")


def flow_between(before: Tensor, after: Tensor) -> Tensor:
    """Optical flow from `before` to `after`, `(2, h, w)`: right and down, in pixels. Pictures `(3, h, w)` in [0, 1].

    OpenCV's dense inverse search (arXiv 1603.03590). Raises ValueError without OpenCV, and for pictures below `SMALLEST`.
    """
    try:
        import cv2
    except ImportError as error:
        raise ValueError("a flow needs OpenCV: pip install opencv-python-headless, or switch it off") from error
    if min(before.shape[1:]) < SMALLEST:
        raise ValueError(f"a flow needs pictures of {SMALLEST}x{SMALLEST} or more, got {before.shape[2]}x{before.shape[1]}")
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = search.calc(_grey(before), _grey(after), None)  # type: ignore[call-overload]
    return rearrange(torch.from_numpy(flow.copy()), "h w two -> two h w")


def _grey(picture: Tensor) -> "np.ndarray":
    grey = (picture.clamp(0, 1).mean(0) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(grey.cpu().numpy())
