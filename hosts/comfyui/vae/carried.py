"""The host's Wan VAEs as causal decoders that carry a state: a stream without end, decoded as the host decodes a clip.

The decoders keep the last latents of each causal convolution in a list that they change. How far that reaches was measured by
perturbation and by cold starts (38 latents, both versions; ComfyUI 0.3.64 and 0.25.0).
"""

import sys
from typing import Any

import comfy.ldm.wan.vae
import comfy.ldm.wan.vae2_2
import comfy.model_management
import torch
from einops import rearrange
from torch import Tensor

from ....sampling.pieces import CarriedPieces
from ....sampling.windowing import TimeRatio
from .chunked import ratio_of

BACK = 39
"""Latents before a piece after which a cold start has the same bits."""
PATCH = 2
"""Side of the patches of pixels that Wan 2.2's VAE decodes to."""


def carried_decoder(vae: Any, before: Tensor | None = None) -> "CarriedDecoder | None":
    """A decoder that carries its state, for the host's Wan VAEs; None for others. before: as for `CarriedDecoder`."""
    network = getattr(vae, "first_stage_model", None)
    known = type(network) in (comfy.ldm.wan.vae.WanVAE, comfy.ldm.wan.vae2_2.WanVAE)
    return CarriedDecoder(vae, before) if known else None


class CarriedDecoder:
    """Decodes pieces in order; the state is kept between them.

    before   latents `(n, c, h, w)` that the stream continues, in a LATENT's scale; their frames are not decoded again
    """

    def __init__(self, vae: Any, before: Tensor | None = None):
        self._vae, self._network = vae, vae.first_stage_model
        self._later = isinstance(self._network, comfy.ldm.wan.vae2_2.WanVAE)
        module = sys.modules[type(self._network).__module__]
        pairs = getattr(module, "count_cache_layers", None)  # hosts that decode two latents at a time have this function
        self._layers = (pairs or module.count_conv3d)(self._network.decoder)
        each, ratio = 2 if pairs else 1, ratio_of(vae)
        self._before = latents_of_whole_pieces(before, each)
        if len(self._before):
            ratio = TimeRatio(ratio.each, ratio.each)  # latent 0 is not the first one
        self.pieces = CarriedPieces(ratio, each=each, back=BACK)
        self._state: list[Any] = []
        self._next = -1

    def decode(self, latents: Tensor, piece: int) -> Tensor:
        """Decodes a piece `(n, c, h, w)`, in a LATENT's scale, to frames `(f, 3, h, w)` in [0, 1] on the CPU.

        Begins without a state where the piece is not the one after the last, or is a single latent; piece 0 begins with that of
        the latents before it.
        """
        vae, device = self._vae, self._vae.device
        comfy.model_management.throw_exception_if_processing_interrupted()
        first = piece != self._next or len(latents) < self.pieces.each
        lead_in = first and not piece and len(self._before) > 0
        self._next = -1  # after an error
        memory = vae.memory_used_decode((1, *latents.shape[1:2], len(latents), *latents.shape[2:]), vae.vae_dtype)
        comfy.model_management.load_models_gpu([vae.patcher], memory_required=memory, force_full_load=vae.disable_offload)
        state = [None] * self._layers if first else [_moved(part, device) for part in self._state]
        for begin in range(1 - self.pieces.each, len(self._before), self.pieces.each) if lead_in else ():
            self._run(self._before[max(0, begin) : begin + self.pieces.each], state, begin <= 0)
            first = False
        pictures = self._run(latents, state, first).to("cpu", torch.float32)
        self._state, self._next = state, piece + 1
        return vae.process_output(rearrange(pictures, "1 c f h w -> f c h w"))

    def park(self) -> None:
        """Moves the state to main memory, while another model needs the device."""
        self._state = [_moved(part, "cpu") for part in self._state]

    def _run(self, latents: Tensor, state: list[Any], first: bool) -> Tensor:
        """Decodes `(n, c, h, w)` to `(1, 3, f, h, w)`, and changes the state."""
        clip = rearrange(latents, "n c h w -> 1 c n h w").to(self._vae.device, self._vae.vae_dtype)
        more = {"first_chunk": first} if self._later else {}
        made = self._network.decoder(self._network.conv2(clip), feat_cache=state, feat_idx=[0], **more)
        made = torch.cat(made, 2) if isinstance(made, list) else made
        return comfy.ldm.wan.vae2_2.unpatchify(made, patch_size=PATCH) if self._later else made


def latents_of_whole_pieces(before: Tensor | None, each: int) -> Tensor:
    """The last of the latents before a stream: as many as its state depends on, in whole pieces after the first one."""
    if before is None:
        return torch.zeros(0)
    count = min(len(before), BACK)
    return before[len(before) - count + (count - 1) % each :]


def _moved(part: Any, device: Any) -> Any:
    return part.to(device) if isinstance(part, Tensor) else part
