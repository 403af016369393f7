"""Decoders of a long shot of the embedded model: its image VAE, or its temporal decoder in windows."""

from pathlib import Path

import torch
from torch import Tensor

from ....demo.layout import FOLDER, TEMPORAL_VAE, part_path
from ....sampling.pieces import Pieces
from ....shots.videos import ONE_BY_ONE
from ..vae import decode_window, open_vae
from .model import Demo

TEMPORAL, IMAGE = "temporal", "image"
DECODERS = (TEMPORAL, IMAGE)


class DemoDecoder:
    """Implements `shots.videos.Decoder` with one of `DECODERS`."""

    def __init__(self, demo: Demo, kind: str = TEMPORAL, folder: Path = FOLDER):
        self._demo, self.tiles = demo, dict[int, int]()
        self._loaded = open_vae(part_path(TEMPORAL_VAE, folder)) if kind == TEMPORAL else None
        if self._loaded:
            self._loaded.network.to(demo.unet.device)
        family = self._loaded and self._loaded.family
        self.pieces = Pieces(cut=family.windows) if family else Pieces()
        self.decoding = f"temporal, windows of {family.windows.size}" if family else ONE_BY_ONE

    @torch.inference_mode()
    def decode(self, latents: Tensor, piece: int | None = None) -> Tensor:
        """Decodes scaled latents `(n, 4, h, w)` to pictures `(n, 3, 8 h, 8 w)` in [0, 1], on the CPU."""
        latents = latents.to(self._demo.unet.device)
        if not self._loaded:
            return torch.cat([self._demo.decode(latent[None]) for latent in latents])
        return decode_window(self._loaded, latents / self._demo.vae.config.scaling_factor).clamp(0, 1).cpu()
