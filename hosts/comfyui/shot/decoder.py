"""Decoder of a shot in ComfyUI: frame by frame, in windows where the VAE uses neighbouring frames or compresses time, or with a
state that is carried from piece to piece."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import comfy.model_management
import torch
from einops import rearrange
from torch import Tensor

from ....sampling.pieces import Pieces
from ....shots.journal import Scalar
from ....shots.videos import ONE_BY_ONE
from ..dit.model import check_ratio
from ..fingerprint import weights
from ..sampling.guider import enough_memory
from ..vae.carried import carried_decoder
from ..vae.chunked import ChunkedVae, sees_time
from .inputs import ShotInputs


class ShotDecoder:
    """Implements `shots.videos.Decoder` with a VAE of the host.

    before   latents `(f, c, h, w)` of a LATENT that the shot continues; a decoder with a state begins with them
    Raises ValueError for a VAE whose latents have another number of channels than the model's.
    """

    def __init__(self, inputs: ShotInputs, before: Tensor | None = None):
        vae, channels = inputs.vae, getattr(inputs.vae, "latent_channels", inputs.latent[0])
        if channels != inputs.latent[0]:
            raise ValueError(
                f"vae: this VAE decodes latents of {channels} channels, but the model makes latents of {inputs.latent[0]}; "
                "connect the VAE of the checkpoint, or a temporal VAE for the same latents"
            )
        self._inputs, self.tiles = inputs, dict[int, int]()
        self._carried = carried_decoder(vae, before)
        self._chunked = ChunkedVae(vae) if sees_time(vae) else None
        self.pieces = Pieces(self._chunked.ratio, self._chunked.cut) if self._chunked else Pieces()
        if self._carried:
            self.pieces = self._carried.pieces
        check_ratio(inputs.model, self.pieces.ratio.each)

    def settings(self) -> Mapping[str, Scalar]:
        """Settings of the video that latents do not depend on."""
        cut, vae = self.pieces.cut, self._inputs.vae
        windows = f"windows of {cut.size} latents, {cut.overlap} shared, {'cross-faded' if cut.fade else 'cut'}"
        decoding = windows if self._chunked else ONE_BY_ONE
        if self._carried:
            decoding = f"{self._carried.pieces.each} latents at a time, with the decoder's state"
        return {
            "vae": weights(vae.patcher), "VAE precision": str(getattr(vae, "vae_dtype", "")), "decoding": decoding,
        }  # fmt: skip

    def park(self) -> None:
        """Frees the device for the model: moves a decoder's state to main memory."""
        if self._carried:
            self._carried.park()

    def decode(self, latents: Tensor, piece: int | None) -> Tensor:
        """Decodes a window `(n, c, h, w)`, in the sampler's scale, to frames `(f, 3, h, w)`. piece: None for a preview."""
        comfy.model_management.throw_exception_if_processing_interrupted()
        latents = self._inputs.latent_out(latents)
        if self._carried and piece is not None:
            with enough_memory("decoding", "width and height, or run the VAE on the CPU (--cpu-vae)"):
                return self._carried.decode(latents, piece)
        if not self._chunked:
            with enough_memory("decoding a frame", "width and height, or run the VAE on the CPU (--cpu-vae)"):
                pictures = self._inputs.vae.decode(latents)
            return rearrange(pictures.float().cpu(), "f h w c -> f c h w")[:, :3]
        before = [side for number, side in self.tiles.items() if piece is None or number <= piece]
        self._chunked.tile = before[-1] if before else 0
        with _seeded(piece or 0):
            pictures = self._chunked.decode_window(latents)
        if piece is not None and self._chunked.tile != (before[-1] if before else 0):
            self.tiles[piece] = self._chunked.tile
        return pictures


@contextmanager
def _seeded(number: int) -> Iterator[None]:
    """Seeds torch's generators, which some decoders draw noise from (LTX-Video's), and restores them."""
    device = comfy.model_management.get_torch_device()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(number)
        yield
