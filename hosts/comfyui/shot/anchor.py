"""The anchor of a shot: its own finished frames as an image prompt for all later ones.

Ouroboros-Diffusion (arXiv 2501.09019) guides a queue by a long memory of its subject, a moving average of features,
through gradients. Here the memory is a moving average of image tokens, and the model attends to it (IP-Adapter).
"""

import copy
from dataclasses import replace

import torch
from einops import rearrange
from torch import Tensor

from ....shots.journal import Journal
from ..conditioning.anchor import Anchor
from ..conditioning.image_prompt import ImagePromptSettings, add_image_prompt, encode
from ..vae.chunked import check_frame_by_frame
from .decoder import ShotDecoder
from .inputs import ShotInputs

MEMORY = 4
"""Segments in the moving average; so a resumed shot decodes the frames of a few segments only."""


class ShotAnchor:
    """Sets the anchor of one shot between its rounds.

    The anchor depends on the number of the next frame alone: it changes at segment borders, where rounds end, and is made from
    stored latents, so a resumed shot has the same one.

    inputs   those of the shot, with the image prompt in a copy of the guider; it does not act before the first `update`
    Raises ValueError for a VAE that compresses time, and where the projector does not fit the model.
    """

    def __init__(self, anchor: Anchor, inputs: ShotInputs):
        check_frame_by_frame(inputs.vae, "anchor")
        self._anchor, self._settings = anchor, anchor.settings
        settings = ImagePromptSettings(self._settings.strength, by_frame=self._settings.by_frame)
        patched, self._key = add_image_prompt(inputs.model, anchor.projector, settings)
        guider = copy.copy(inputs.guider)
        guider.model_patcher, guider.model_options = patched, patched.model_options
        self.inputs = replace(inputs, guider=guider)
        self._blocks: dict[int, tuple[Tensor, Tensor]] = {}

    def update(self, frame: int, journal: Journal, decoder: ShotDecoder) -> None:
        """Sets the anchor for the frames from `frame` on, from the finished segments before it."""
        if self._settings.strength == 0:
            return
        size, settings = journal.sizes.segment, self._settings
        segments, end = max(0, frame) // size, settings.frame + settings.frames
        if end > segments * size:
            return
        later = range(-(-end // size), segments)[-MEMORY:] if settings.refresh else range(0)
        count = min(settings.frames, size)
        starts = [settings.frame, *((number + 1) * size - count for number in later)]
        self._blocks = {start: self._blocks.get(start) or self._tokens(start, journal, decoder) for start in starts}
        tokens, null = self._blocks[starts[0]]
        for start in starts[1:]:
            tokens = torch.lerp(tokens, self._blocks[start][0], settings.refresh)
        entry = self.inputs.guider.model_options["transformer_options"][self._key]
        entry |= {"tokens": tokens, "null": null}

    def _tokens(self, start: int, journal: Journal, decoder: ShotDecoder) -> tuple[Tensor, Tensor]:
        """Mean image tokens of a block of frames, and unconditional ones `(1, g, m, d)`."""
        size, end = journal.sizes.segment, start + self._settings.frames
        latents = torch.cat([journal.latents(number) for number in range(start // size, -(-end // size))])
        pictures = decoder.decode(latents[start % size :][: self._settings.frames], None)
        tokens, null = encode(self._anchor.projector, self._anchor.vision, rearrange(pictures, "f c h w -> f h w c"))
        return tokens.mean(0, keepdim=True), null
