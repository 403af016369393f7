"""Autoencoders without ComfyUI: clips through a network of ours, cut into its family's windows."""

from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ...models.vae.loading import Loaded, load_vae
from ...sampling.windowing import decode_stream, encode_stream
from ...video.quality.study import RoundTrip


def open_vae(path: Path) -> Loaded:
    """As `load_vae`, in float32. Raises ValueError, naming file and remedy."""
    loaded = load_vae(path)
    loaded.network.float()
    return loaded


def trip(loaded: Loaded) -> RoundTrip:
    """Clips `(f, 3, h, w)` in [0, 1] there and back, as many frames or, where time is squeezed, up to a latent's more."""
    return lambda clip: decode(loaded, encode(loaded, clip))


@torch.inference_mode()
def encode(loaded: Loaded, clip: Tensor) -> Tensor:
    """Clips `(f, 3, h, w)` in [0, 1] to latents `(n, c, h, w)`."""

    def work(window: Tensor) -> Tensor:
        return _in_its_axes(loaded, loaded.network.encode, window * 2 - 1)

    return torch.stack(list(encode_stream(work, clip, loaded.family.time(loaded.network), loaded.family.windows)))


@torch.inference_mode()
def decode(loaded: Loaded, latents: Tensor) -> Tensor:
    """Latents `(n, c, h, w)` of one clip to frames `(f, 3, h, w)` in [0, 1]."""

    def work(window: Tensor) -> Tensor:
        return _in_its_axes(loaded, loaded.network.decode, window) / 2 + 0.5

    return torch.stack(list(decode_stream(work, latents, loaded.family.time(loaded.network), loaded.family.windows))).clamp(
        0, 1
    )


def _in_its_axes(loaded: Loaded, run: Any, x: Tensor) -> Tensor:
    if loaded.family.time(loaded.network).each == 1:
        return run(x)
    return rearrange(run(rearrange(x, "n c h w -> 1 c n h w")), "1 c n h w -> n c h w")
