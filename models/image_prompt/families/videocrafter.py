"""Image prompts of VideoCrafter1 (arXiv 2310.19512) and DynamiCrafter (2310.12190), from their whole checkpoints.

The same resampler as IP-Adapter's. Its input is all tokens of ViT-H after the last layer, from the whole picture stretched to
a square; without a picture, from a mid-grey one. VideoCrafter1 has 16 tokens; DynamiCrafter 16 for each of 16 frames, in order.
In a clip of another length every frame attends to all of them, as in the published code.
"""

from typing import Any

from torch import nn

from ...formats.published import Metadata, Shapes, Spelling
from ...motion.families.videocrafter import table
from ..family import EncoderInput, ProjectorFamily
from .ip_adapter import resampler

TOKENS = 16
"""Number of tokens per picture, or per picture and frame."""
KEYS = "input_blocks.{}.{}.transformer_blocks.{}.attn2.to_k_ip.weight"


def look(shapes: Shapes) -> EncoderInput:
    return EncoderInput("last", crop=False, null="grey picture")


def build(shapes: Shapes, metadata: Metadata, ops: Any) -> nn.Module:
    return resampler(shapes, metadata, shapes["latents.table"][1] // TOKENS, ops)


VIDEOCRAFTER = ProjectorFamily(
    name="videocrafter",
    title="VideoCrafter and DynamiCrafter",
    spellings=(Spelling("published", (KEYS, "image_proj_model.latents"), (), table),),
    look=look,
    build=build,
)
