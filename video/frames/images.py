"""Clips as ComfyUI's IMAGE, checked in one place for every node."""

import torch
from torch import Tensor


def as_images(images: Tensor, name: str = "images") -> Tensor:
    """An IMAGE `(f, h, w, 3 or 4)`, float32 in [0, 1], of what other packs hand over as one.

    One channel becomes three equal ones, bytes (uint8) become shares of 255, other floats become float32. Raises ValueError,
    which names the input, for everything else.
    """
    expected = f"{name}: expected pictures (frames, height, width, 3 channels)"
    shape = tuple(images.shape)
    if images.ndim == 3:
        raise ValueError(
            f"{expected}, got {shape}: an axis is missing. A single picture needs one for frames, a MASK is no IMAGE"
        )
    if images.ndim != 4 or shape[-1] not in (1, 3, 4):
        first = images.ndim == 4 and shape[1] in (1, 3, 4)
        raise ValueError(f"{expected}, got {shape}" + (": channels come last in an IMAGE" if first else "; connect an IMAGE"))
    if not shape[0]:
        raise ValueError(f"{name}: expected one frame or more, got none")
    if not images.numel():
        raise ValueError(f"{expected}, got {shape}: there are no pixels in it")
    if images.dtype == torch.uint8:
        images = images.float() / 255
    if not images.is_floating_point():
        raise ValueError(
            f"{expected} of floats in [0, 1], got {str(images.dtype).removeprefix('torch.')}; divide by its largest"
        )
    return images.float().expand(*shape[:3], max(3, shape[-1]))
