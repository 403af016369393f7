"""Image prompts without ComfyUI: open_clip's image towers, and image prompts in a `UNet2DConditionModel`.

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
from .projections import require_projection_calls

HOOKED = ("to_q", "to_out.0")
"""Modules of a cross-attention that image prompts are hooked into."""


def states_of(tower: Any, pixels: Tensor, encoder_input: EncoderInput) -> Tensor:
    """Hidden states `(b, n, d)` of open_clip's `VisionTransformer`, a projector's input; an embedding is one token.

    pixels   normalised, `(b, 3, side, side)`
    """
    if encoder_input.states == "embedding":
        return tower(pixels)[:, None]
    index = len(tower.transformer.resblocks) - (1 if encoder_input.states == "last" else 2)
    states = tower.forward_intermediates(pixels, indices=[index], output_fmt="NLC", output_extra_tokens=True)
    return torch.cat([states["image_intermediates_prefix"][0], states["image_intermediates"][0]], dim=1)


def null_states(tower: Any, encoder_input: EncoderInput, side: int) -> Tensor:
    """Hidden states `(1, n, d)` of the unconditional input, which stands for no picture.

    side   height and width of the tower's pixels
    """
    like = next(tower.parameters())
    if encoder_input.null == "zero embedding":
        return like.new_zeros(1, 1, tower.output_dim)
    pixels = like.new_zeros(1, 3, side, side)
    if encoder_input.null != "zero picture":
        pixels = pixels_of(pixels + 0.5, side, False)
    return states_of(tower, pixels, encoder_input)


@contextmanager
def picture_in(
    unet: Any, image: ImageLayers, tokens: Tensor, rows: Tensor, *, strength: float | Tensor = 1.0,
    attention: AttentionFunction = scaled_dot_product, levels: Mapping[str, float] | None = None,
) -> Iterator[None]:  # fmt: skip
    """Adds image prompts to `unet` for the length of a `with` block; afterwards the UNet is as it was.

    tokens     distinct sets of image tokens `(u, n, d)`
    rows       index of the set that each row of the batch attends to `(b f)`, int64
    strength   a number, or one per row; 0 leaves the UNet's output as it is, bit for bit
    levels     prefixes of sites -> factor of the strength there
    Raises ValueError where the image layers do not fit this UNet, or its attention processors do not call the hooked modules.
    """
    places = unet_places(unet)
    image.check_fit(places)
    edit = ImageAttention()
    edit.install(image, places)
    if isinstance(strength, Tensor) or strength:
        edit.give(ImageInputs(tokens, rows, strength, attention, levels or {}))
    attentions = {place: places.cross_attentions[place] for place in image.places}
    try:
        with require_projection_calls(unet, attentions, HOOKED, "an image prompt"):
            yield
    finally:
        edit.remove()
