"""Video VAEs without ComfyUI: encode and decode clips in the windows of the VAE's family."""

from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from ...models.vae.loading import Loaded, load_vae
from ...sampling.windowing import decode_stream, encode_stream
from ...video.quality.study import RoundTrip


def open_vae(path: Path) -> Loaded:
    """Loads a VAE as `load_vae` does, in float32. Raises ValueError with file and remedy."""
    loaded = load_vae(path)
    loaded.network.float()
    return loaded


def trip(loaded: Loaded) -> RoundTrip:
    """A function that encodes and decodes a clip `(f, 3, h, w)` in [0, 1].

    Where the VAE compresses time, the result is padded to the last latent's frames.
    """
    return lambda clip: decode(loaded, encode(loaded, clip))


@torch.inference_mode()
def encode(loaded: Loaded, clip: Tensor) -> Tensor:
    """Encodes a clip `(f, 3, h, w)` in [0, 1] to latents `(n, c, h, w)`."""

    def encode_window(window: Tensor) -> Tensor:
        return _in_network_axes(loaded, loaded.network.encode, window * 2 - 1)

    return torch.stack(list(encode_stream(encode_window, clip, loaded.family.time(loaded.network), loaded.family.windows)))


@torch.inference_mode()
def decode(loaded: Loaded, latents: Tensor) -> Tensor:
    """Decodes latents `(n, c, h, w)` of one clip to frames `(f, 3, h, w)` in [0, 1]."""

    def window(window: Tensor) -> Tensor:
        return decode_window(loaded, window)

    frames = decode_stream(window, latents, loaded.family.time(loaded.network), loaded.family.windows)
    return torch.stack(list(frames)).clamp(0, 1)


def decode_window(loaded: Loaded, latents: Tensor) -> Tensor:
    """Decodes latents `(n, c, h, w)` of one window to frames `(f, 3, h, w)`, in [0, 1] but for the network's excess."""
    return _in_network_axes(loaded, loaded.network.decode, latents) / 2 + 0.5


def _in_network_axes(loaded: Loaded, run: Any, x: Tensor) -> Tensor:
    if loaded.family.time(loaded.network).each == 1:
        return run(x)
    return rearrange(run(rearrange(x, "n c h w -> 1 c n h w")), "1 c n h w -> n c h w")
