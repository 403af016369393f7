"""One published image projector as data: how to recognise its files, rename its keys, build it, and prepare its input."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from ..formats.facts import header_number
from ..formats.published import Metadata, Published, Shapes

HEAD_WIDTH = 64
"""Channels per attention head in every published resampler; cannot be derived from a file's shapes."""


@dataclass(frozen=True)
class EncoderInput:
    """Input of a projector, with and without a picture."""

    states: Literal["embedding", "penultimate", "last"]
    """The image encoder's pooled embedding; or its tokens after the second last or the last layer, before the final norm."""
    crop: bool
    """Whether the picture is centre-cropped to a square; else it is stretched to one."""
    null: Literal["zero embedding", "zero picture", "grey picture"]
    """Input of the unconditional pass. A zero picture is zero after the encoder's normalisation (its mean colour); a grey one
    is mid-grey before it."""


@dataclass(frozen=True)
class ProjectorFamily(Published):
    """One design of image projectors. A family is a file in `families/`, never a branch elsewhere."""

    look: Callable[[Shapes], EncoderInput]
    """Gives the input that a network with these shapes (keys in our spelling) was trained with."""
    build: Callable[[Shapes, Metadata, Any], nn.Module]
    """Builds the empty network for these shapes. It has `states` (width of its input), `width` and `tokens` (of its output),
    and `frames` where tokens belong to frames."""


def head_width(metadata: Metadata) -> int:
    """Channels per head of the resampler's attention."""
    return header_number(metadata, "zoetrope.head_width", HEAD_WIDTH)
