"""Check and conversion of ComfyUI's IMAGE, for every node."""

import torch
from torch import Tensor


def as_images(images: Tensor, name: str = "images") -> Tensor:
    """Converts images from other packs to an IMAGE `(f, h, w, 3 or 4)`, float32 in [0, 1].

    One channel is repeated to three, uint8 is divided by 255, other floats become float32. Raises ValueError, with the name of
    the input, for everything else.
    """
    expected = f"{name}: expected pictures (frames, height, width, 3 channels)"
    shape = tuple(images.shape)
    if images.ndim == 3:
        raise ValueError(
            f"{expected}, got {shape}: an axis is missing. A single picture needs one for frames, a MASK is not an IMAGE"
        )
    if images.ndim != 4 or shape[-1] not in (1, 3, 4):
        first = images.ndim == 4 and shape[1] in (1, 3, 4)
        raise ValueError(f"{expected}, got {shape}" + (": channels come last in an IMAGE" if first else "; connect an IMAGE"))
    if not shape[0]:
        raise ValueError(f"{name}: expected one frame or more, got none")
    if not images.numel():
        raise ValueError(f"{expected}, got {shape}: it has no pixels")
    if images.dtype == torch.uint8:
        images = images.float() / 255
    if not images.is_floating_point():
        raise ValueError(
            f"{expected} of floats in [0, 1], got {str(images.dtype).removeprefix('torch.')}; divide by the largest value"
        )
    return images.float().expand(*shape[:3], max(3, shape[-1]))
