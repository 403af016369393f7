"""VAEs from files as the host's VAE objects: core's nodes accept them, and long clips are cut into the family's windows."""

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
"""The smallest network that the host's VAE class accepts; it is replaced by the file's."""
BYTES_PER_PIXEL = {"encode": 1767, "decode": 2178}
"""Numbers in memory per pixel of a picture: the host's estimates for Stable Diffusion's VAE."""


def load_temporal_vae(path: str) -> "FileVae":
    """Loads a VAE file of any known family as a host VAE. Raises ValueError with file and remedy."""
    vae = FileVae(load_vae(path))
    rebuilt_by(vae.patcher, _reload_patcher, path)
    return vae


def _reload_patcher(path: str, disable_dynamic: bool = False) -> Any:
    return load_temporal_vae(path).patcher


class FileVae(comfy.sd.VAE):
    """A host VAE with a network of the pack. Every node, core's too, cuts long clips into its family's windows."""

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
        self.disable_offload = True  # the host cannot stream plain torch layers
        devices = {"load_device": self.device, "offload_device": self.patcher.offload_device}
        self.patcher = comfy.model_patcher.ModelPatcher(network, **devices)

    def _sizes(self, side: Any, channels: Any, squeezes: bool) -> None:
        """Sets the host's attributes for sizes, and its memory estimates, of one picture or of a clip."""
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
        """Decodes latents to an IMAGE `(f, h, w, 3)` in the family's windows, with core's signature."""
        return decode_all(samples_in, ChunkedVae(self)).to(self.output_device)

    def decode_tiled(
        self, samples: Tensor, tile_x: Any = None, tile_y: Any = None, overlap: Any = None, tile_t: Any = None,
        overlap_t: Any = None,
    ) -> Tensor:  # fmt: skip
        """Decodes in tiles with core's signature; each tile has all frames of a window. Sizes are in latent pixels."""
        side = self.spacial_compression_decode()
        options = ChunkOptions(
            tile_t or 0, overlap_t if tile_t and overlap_t is not None else -1, tile=max(tile_x or 32, tile_y or 32) * side
        )
        return decode_all(samples, ChunkedVae(self, options)).to(self.output_device)

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """Encodes pictures `(f, h, w, 3)` in the family's windows, with core's signature."""
        return self._encoded(pixel_samples, ChunkedVae(self))

    def encode_tiled(
        self, pixel_samples: Tensor, tile_x: Any = None, tile_y: Any = None, overlap: Any = None, tile_t: Any = None,
        overlap_t: Any = None,
    ) -> Tensor:  # fmt: skip
        """Encodes in tiles with core's signature; each tile has all frames of a window. Sizes are in pixels."""
        return self._encoded(pixel_samples, ChunkedVae(self, ChunkOptions(tile=max(tile_x or 512, tile_y or 512))))

    def _encoded(self, pictures: Tensor, chunked_vae: ChunkedVae) -> Tensor:
        pictures = as_images(pictures, "pixels")
        frames = (rearrange(picture, "h w c -> c h w") for picture in pictures)
        return encode_all(frames, len(pictures), chunked_vae).to(self.output_device)

    def get_sd(self) -> dict[str, Tensor]:
        """The weights under their published keys, for core's Save VAE."""
        return self.loaded.published()
