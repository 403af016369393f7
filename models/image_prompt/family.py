"""What one published image projector is, as data: how to know its files, spell its keys, build it, and what it is shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from torch import nn

from ..formats.facts import header_number
from ..formats.published import Metadata, Published, Shapes

HEAD_WIDTH = 64
"""Of every published resampler; a file's shapes do not tell it."""


@dataclass(frozen=True)
class EncoderInput:
    """What a projector is shown of a picture, and of none."""

    states: Literal["embedding", "penultimate", "last"]
    """The image encoder's pooled embedding; or its tokens, after the layer before the last or after the last, without the
    norm that follows."""
    crop: bool
    """Whether the picture is cropped about its middle to a square, or squashed to one."""
    null: Literal["zero embedding", "zero picture", "grey picture"]
    """What stands for no picture on the unconditional side. A zero picture is zero after the encoder's normalisation, its
    mean colour; a grey one is zero before it."""


@dataclass(frozen=True)
class ProjectorFamily(Published):
    """One design of image projectors. A family is a file in `families/`, never a branch elsewhere."""

    look: Callable[[Shapes], EncoderInput]
    """Reads off the network's shapes, spelled our way."""
    build: Callable[[Shapes, Metadata, Any], nn.Module]
    """Makes the empty network for these shapes: `states` (width of what it is shown), `width` and `tokens` (of what it makes),
    `frames` where tokens belong to frames."""


def head_width(metadata: Metadata) -> int:
    """Of the resampler's attention."""
    return header_number(metadata, "zoetrope.head_width", HEAD_WIDTH)
