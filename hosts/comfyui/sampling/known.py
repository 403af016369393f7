"""Given latents of a shot in ComfyUI: keyframes from pictures, and frames that a noise mask keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_max_pool2d

from ....sampling.known import CLEAN, Known, keyframes
from ..conditioning.frame_guide import encode_pictures
from ..fingerprint import digest


@dataclass(frozen=True)
class Keyframes:
    """Pictures at frames of a shot."""

    pictures: Tensor
    """IMAGE `(k, h, w, 3)`"""
    frames: tuple[int, ...]
    strength: float = 1.0
    reach: int = 0

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        keyframes(torch.zeros(len(self.pictures), 1, 1, 1), self.frames, self.strength, self.reach)

    def known(self, model: Any, vae: Any, size: tuple[int, int]) -> Known:
        """Given latents in the sampler's scale, from a VAE with a latent per frame. size: h w of a latent."""
        return keyframes(encode_pictures(model, vae, self.pictures, *size), self.frames, self.strength, self.reach)

    def settings(self) -> Mapping[str, str]:
        return {"keyframes": digest([self.pictures, list(self.frames), self.strength, self.reach])}


def masked(latents: Tensor, mask: Tensor, side: int, level: float | None = None, repeats: bool = True) -> Known:
    """Latents `(f, c, h, w)` that are kept where a noise mask is 0; a single one in all frames, if it `repeats`.

    mask    `(1 or f, h, w)`, `(1 or f, 1, h, w)` or `(1, 1, 1 or f, h, w)`, of the latents' size, of their pictures' (`side`
            pixels per latent) or 1x1: 1 where frames are generated. A latent pixel is generated if any part of it is, so that
            what is kept is whole.
    level   as for `sampling.known.before`, for frames that are kept wholly
    """
    mask = mask.float().reshape(-1, 1, *mask.shape[-2:])
    h, w = latents.shape[-2:]
    if tuple(mask.shape[-2:]) == (1, 1):
        mask = mask.expand(-1, 1, h, w)
    if tuple(mask.shape[-2:]) not in ((h, w), (h * side, w * side)):
        raise ValueError(
            f"noise_mask: expected {w}x{h}, the size of the latents, or {w * side}x{h * side}, that of their pictures, got "
            f"{mask.shape[-1]}x{mask.shape[-2]}; scale the mask to the size of the pictures"
        )
    if len(mask) not in (1, len(latents)):
        raise ValueError(f"noise_mask: expected 1 mask or {len(latents)}, one for each latent, got {len(mask)}")
    if not bool(latents.any()):
        raise ValueError(
            "noise_mask: the latent is empty, so there is nothing to keep; encode the pictures to keep with the VAE"
        )
    pooled = adaptive_max_pool2d(mask.clamp(0, 1), (h, w)).expand(len(latents), 1, h, w)
    repeats, clean = repeats and len(latents) == 1, level is not None
    return Known(latents, range(len(latents)), pooled, repeats, clean, CLEAN if level is None else level)
