"""A clip through the host's VAE in chunks of a fixed number of frames, so that neither memory nor result depends on its length.

Core splits a batch by the memory that happens to be free; here the chunk is a setting, and finished frames wait in main memory.
"""

from collections.abc import Iterator
from typing import Any

import comfy.model_management
import comfy.utils
import torch
from torch import Tensor


def encode_frames(vae: Any, pictures: Tensor, chunk: int) -> Tensor:
    """Pictures `(f, h, w, 3)` in [0, 1] to latents `(f, c, h/8, w/8)`. Raises ValueError for sizes that would be cropped."""
    _check_kind(vae)
    ratio = vae.spacial_compression_encode()
    h, w = pictures.shape[1:3]
    if h % ratio or w % ratio:
        raise ValueError(
            f"this VAE takes pictures whose sides are multiples of {ratio} pixels, got {w}x{h}. "
            f"Scale or crop the frames to {w - w % ratio}x{h - h % ratio} first (Upscale Image, Image Crop)."
        )
    return _in_chunks(pictures[..., :3], chunk, vae.encode)


def decode_frames(vae: Any, latents: Tensor, chunk: int) -> Tensor:
    """Latents `(f, c, h, w)` to pictures `(f, 8h, 8w, 3)` in [0, 1]."""
    _check_kind(vae)
    if latents.ndim != 4:
        raise ValueError(f"expected the latents of an image model, one per frame (f, c, h, w), got {tuple(latents.shape)}")
    return _in_chunks(latents, chunk, vae.decode)


def _check_kind(vae: Any) -> None:
    if getattr(vae, "latent_dim", 2) != 2:
        raise ValueError("this VAE squeezes time as well and needs whole clips; use VAE Encode and VAE Decode with it")


def _in_chunks(frames: Tensor, chunk: int, work: Any) -> Tensor:
    if len(frames) == 0:
        raise ValueError("expected one frame or more, got none")
    if chunk < 1:
        raise ValueError(f"chunk: expected 1 frame or more, got {chunk}")
    bar = comfy.utils.ProgressBar(len(frames))
    result: Tensor | None = None
    for start, part in _parts(frames, chunk):
        comfy.model_management.throw_exception_if_processing_interrupted()
        done = work(part)
        if result is None:
            result = torch.empty(len(frames), *done.shape[1:], dtype=done.dtype)
        result[start : start + len(part)] = done.to(result.device)
        bar.update(len(part))
    assert result is not None
    return result


def _parts(frames: Tensor, chunk: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(frames), chunk):
        yield start, frames[start : start + chunk]
