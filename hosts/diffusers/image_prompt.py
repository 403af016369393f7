"""Pictures without ComfyUI: open_clip's image towers, and image prompts in a `UNet2DConditionModel`.

tokens = projector.network.projector(states_of(tower, pixels, projector.look))
with picture_in(unet, projector.network.image, tokens, rows):
    noise = unet(latents, timesteps, encoder_hidden_states=text).sample
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ...models.edits.image_attention import ImageAttention, ImageInputs
from ...models.image_prompt.family import EncoderInput
from ...models.image_prompt.layers import ImageLayers
from ...models.image_prompt.pixels import pixels_of
from ...models.layers.attention import AttentionFunction, scaled_dot_product
from .motion import unet_places
from .projections import asked

ASKED = ("to_q", "to_out.0")
"""What image prompts are hooked into."""


def states_of(tower: Any, pixels: Tensor, look: EncoderInput) -> Tensor:
    """What a projector is shown `(b, n, d)`, by open_clip's `VisionTransformer`; an embedding is one token."""
    if look.states == "embedding":
        return tower(pixels)[:, None]
    index = len(tower.transformer.resblocks) - (1 if look.states == "last" else 2)
    seen = tower.forward_intermediates(pixels, indices=[index], output_fmt="NLC", output_extra_tokens=True)
    return torch.cat([seen["image_intermediates_prefix"][0], seen["image_intermediates"][0]], dim=1)


def null_states(tower: Any, look: EncoderInput, side: int) -> Tensor:
    """The same for no picture `(1, n, d)`."""
    like = next(tower.parameters())
    if look.null == "zero embedding":
        return like.new_zeros(1, 1, tower.output_dim)
    pixels = like.new_zeros(1, 3, side, side)
    return states_of(tower, pixels if look.null == "zero picture" else pixels_of(pixels + 0.5, side, False), look)


@contextmanager
def picture_in(
    unet: Any, image: ImageLayers, tokens: Tensor, rows: Tensor, *, strength: float | Tensor = 1.0,
    attention: AttentionFunction = scaled_dot_product, levels: Mapping[str, float] | None = None,
) -> Iterator[None]:  # fmt: skip
    """Shows pictures to `unet` for the length of a `with` block; afterwards the UNet is as it was.

    tokens     distinct sets of image tokens `(u, n, d)`
    rows       which set each row of the batch reads `(b f)`, int64
    strength   a number, or one per row; 0 leaves the UNet's output as it is, bit for bit
    Raises ValueError where the image layers do not fit this UNet, or its attentions pass them by.
    """
    places = unet_places(unet)
    image.check_fit(places)
    edit = ImageAttention()
    edit.install(image, places)
    if isinstance(strength, Tensor) or strength:
        edit.give(ImageInputs(tokens, rows, strength, attention, levels or {}))
    attentions = {place: places.cross_attentions[place] for place in image.places}
    try:
        with asked(unet, attentions, ASKED, "an image prompt"):
            yield
    finally:
        edit.remove()
