"""Image prompts of VideoCrafter1 (arXiv 2310.19512) and DynamiCrafter (2310.12190), out of their whole checkpoints.

The same resampler as IP-Adapter's, shown all tokens of ViT-H after its last layer, of the whole picture squashed to a square.
For no picture it is shown a mid-grey one. VideoCrafter1 makes 16 tokens; DynamiCrafter 16 for each of 16 frames, in order; a
clip of another length reads all of them in every frame, as the published code does.
"""

from typing import Any

from torch import nn

from ...formats.published import Metadata, Shapes, Spelling
from ...motion.families.videocrafter import table
from ..family import EncoderInput, ProjectorFamily
from .ip_adapter import resampler

TOKENS = 16
"""Per picture, or per picture and frame."""
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
