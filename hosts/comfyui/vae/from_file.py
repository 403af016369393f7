"""Autoencoders from files as the host's own VAE objects: core's nodes work with them, and long clips are cut as they like."""

from typing import Any

import comfy.model_patcher
import comfy.sd
import torch
from comfy.ldm.models.autoencoder import AutoencoderKL
from einops import rearrange
from torch import Tensor

from ....models.vae.loading import Loaded, load_vae
from ....video.frames.images import as_images
from ..rebuild import rebuilt_by
from .chunked import ChunkedVae, ChunkOptions
from .video import decode_all, encode_all

SHELL: dict[str, Any] = {
    "embed_dim": 4,
    "ddconfig": {
        "double_z": True, "z_channels": 4, "resolution": 32, "in_channels": 3, "out_ch": 3, "ch": 32, "ch_mult": [1],
        "num_res_blocks": 1, "attn_resolutions": [], "dropout": 0.0,
    },
}  # fmt: skip
"""The smallest network that the host makes a VAE of; ours takes its place."""
BYTES_PER_PIXEL = {"encode": 1767, "decode": 2178}
"""Numbers that are held per pixel of a picture: the host's own estimates for Stable Diffusion's VAE."""


def load_temporal_vae(path: str) -> "FileVae":
    """A host VAE around the autoencoder in a file of any known family. Raises ValueError, naming file and remedy."""
    vae = FileVae(load_vae(path))
    rebuilt_by(vae.patcher, _patcher_again, path)
    return vae


def _patcher_again(path: str, disable_dynamic: bool = False) -> Any:
    return load_temporal_vae(path).patcher


class FileVae(comfy.sd.VAE):
    """A host VAE whose network is ours. Long clips are cut into its family's windows, whichever node it is connected to."""

    def __init__(self, loaded: Loaded):
        super().__init__(sd=AutoencoderKL(**SHELL).state_dict(), config={"params": SHELL})
        network, family = loaded.network, loaded.family
        time = family.time(network)
        self.loaded = loaded
        self.zoetrope_ratio = time
        self.zoetrope_cut = family.windows
        self._sizes(network.side, network.latent, time.each > 1)
        self.first_stage_model = network.to(self.vae_dtype)
        self.size = None
        self.disable_offload = True  # its layers are torch's own, which the host cannot stream piece by piece
        devices = {"load_device": self.device, "offload_device": self.patcher.offload_device}
        self.patcher = comfy.model_patcher.ModelPatcher(network, **devices)

    def _sizes(self, side: Any, channels: Any, squeezes: bool) -> None:
        """What the host asks about a VAE: how sizes change, and memory, of one picture or of a whole clip."""
        ratio = self.zoetrope_ratio
        self.latent_channels, self.latent_dim = channels, 3 if squeezes else 2
        self.upscale_ratio = (ratio.frames, side, side) if squeezes else side
        self.downscale_ratio = (ratio.latents, side, side) if squeezes else side
        if squeezes:
            self.upscale_index_formula = self.downscale_index_formula = (ratio.each, side, side)

        def decoding(shape: tuple[int, ...], dtype: torch.dtype) -> int:
            frames = ratio.frames(shape[2]) if squeezes else 1
            return BYTES_PER_PIXEL["decode"] * frames * shape[-2] * shape[-1] * side**2 * dtype.itemsize

        def encoding(shape: tuple[int, ...], dtype: torch.dtype) -> int:
            return BYTES_PER_PIXEL["encode"] * (shape[2] if squeezes else 1) * shape[-2] * shape[-1] * dtype.itemsize

        self.memory_used_decode, self.memory_used_encode = decoding, encoding

    def decode(self, samples_in: Tensor, vae_options: Any = None) -> Tensor:
        """As core's: `(f, h, w, 3)`, in the family's windows."""
        return decode_all(samples_in, ChunkedVae(self)).to(self.output_device)

    def decode_tiled(
        self, samples: Tensor, tile_x: Any = None, tile_y: Any = None, overlap: Any = None, tile_t: Any = None,
        overlap_t: Any = None,
    ) -> Tensor:  # fmt: skip
        """As core's, with the clip whole in every tile. Sizes are latents'."""
        side = self.spacial_compression_decode()
        options = ChunkOptions(
            tile_t or 0, overlap_t if tile_t and overlap_t is not None else -1, tile=max(tile_x or 32, tile_y or 32) * side
        )
        return decode_all(samples, ChunkedVae(self, options)).to(self.output_device)

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """As core's: pictures `(f, h, w, 3)` to latents."""
        return self._encoded(pixel_samples, ChunkedVae(self))

    def encode_tiled(
        self, pixel_samples: Tensor, tile_x: Any = None, tile_y: Any = None, overlap: Any = None, tile_t: Any = None,
        overlap_t: Any = None,
    ) -> Tensor:  # fmt: skip
        """As core's, with the clip whole in every tile. Sizes are pictures'."""
        return self._encoded(pixel_samples, ChunkedVae(self, ChunkOptions(tile=max(tile_x or 512, tile_y or 512))))

    def _encoded(self, pictures: Tensor, chunked_vae: ChunkedVae) -> Tensor:
        pictures = as_images(pictures, "pixels")
        frames = (rearrange(picture, "h w c -> c h w") for picture in pictures)
        return encode_all(frames, len(pictures), chunked_vae).to(self.output_device)

    def get_sd(self) -> dict[str, Tensor]:
        """For core's Save VAE: the weights as they were published."""
        return self.loaded.published()
