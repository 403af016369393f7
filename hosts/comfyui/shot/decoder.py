"""Decoder of a shot in ComfyUI: frame by frame, or in windows where the VAE uses neighbouring frames or compresses time."""

from collections.abc import Mapping

import comfy.model_management
from einops import rearrange
from torch import Tensor

from ....sampling.pieces import Pieces
from ....shots.journal import Scalar
from ....shots.videos import ONE_BY_ONE
from ..fingerprint import weights
from ..sampling.guider import enough_memory
from ..vae.chunked import ChunkedVae, sees_time
from .inputs import ShotInputs


class ShotDecoder:
    """Implements `shots.videos.Decoder` with a VAE of the host.

    Raises ValueError for a VAE whose latents have another number of channels than the model's.
    """

    def __init__(self, inputs: ShotInputs):
        vae, channels = inputs.vae, getattr(inputs.vae, "latent_channels", inputs.latent[0])
        if channels != inputs.latent[0]:
            raise ValueError(
                f"vae: this VAE decodes latents of {channels} channels, but the model makes latents of {inputs.latent[0]}; "
                "connect the VAE of the checkpoint, or a temporal VAE for the same latents"
            )
        self._inputs, self.tiles = inputs, dict[int, int]()
        self._chunked = ChunkedVae(vae) if sees_time(vae) else None
        self.pieces = Pieces(self._chunked.ratio, self._chunked.cut) if self._chunked else Pieces()

    def settings(self) -> Mapping[str, Scalar]:
        """Settings of the video that latents do not depend on."""
        cut, vae = self.pieces.cut, self._inputs.vae
        windows = f"windows of {cut.size} latents, {cut.overlap} shared, {'cross-faded' if cut.fade else 'cut'}"
        return {
            "vae": weights(vae.patcher), "VAE precision": str(getattr(vae, "vae_dtype", "")),
            "decoding": windows if self._chunked else ONE_BY_ONE,
        }  # fmt: skip

    def decode(self, latents: Tensor, piece: int | None) -> Tensor:
        """Decodes a window `(n, c, h, w)`, in the sampler's scale, to frames `(f, 3, h, w)`. piece: None for a preview."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        latents = self._inputs.latent_out(latents)
        if not self._chunked:
            with enough_memory("decoding a frame", "width and height, or run the VAE on the CPU (--cpu-vae)"):
                pictures = self._inputs.vae.decode(latents)
            return rearrange(pictures.float().cpu(), "f h w c -> f c h w")[:, :3]
        before = [side for number, side in self.tiles.items() if piece is None or number <= piece]
        self._chunked.tile = before[-1] if before else 0
        pictures = self._chunked.decode_window(latents)
        if piece is not None and self._chunked.tile != (before[-1] if before else 0):
            self.tiles[piece] = self._chunked.tile
        return pictures
