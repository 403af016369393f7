"""Given frames: how each family is shown pictures that its clip has to begin with, end with or stay close to.

What a family sees of them, besides the noisy latent `x` of 4 channels, is data here: the one place that knows which value of a
mask means what. The extra channels go through weights of their own and are added where the file's wider layer would have them,
so the image UNet's own first convolution stays as it is.

family          further channels     mask                         frames without a picture
DynamiCrafter   picture              none                         the picture itself; with a first and a last one: zero
PIA             mask, picture        how alike a frame should be  the nearest picture
SEINE           mask, picture        1: make it, 0: it is given   the latent of a mid-grey picture
AnimateLCM-I2V  picture              none                         the nearest picture
LaVie interp.   picture              none                         the nearest picture, the earlier of two
Zoetrope        none: given frames stand in the clip itself, clean, and are told so by a noise level of zero

Sources: Doubiiu/DynamiCrafter c453369, open-mmlab/PIA 73f06d7, Vchitect/SEINE bd8d519, G-U-N/AnimateLCM f873122. Diffusion
Forcing (arXiv 2407.01392) is the idea behind one noise level per frame.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Channels = tuple[Literal["mask", "picture"], ...]
LATENT = 4


@dataclass(frozen=True)
class GuideDesign:
    """How one family is shown given frames."""

    channels: Channels
    """What follows the noisy latent, in order; empty: the given frames replace their noisy ones."""
    elsewhere: Literal["zero", "grey", "picture"]
    """The picture's channels in frames without one."""
    given: float = 0.0
    """The mask where a frame is given."""
    made: float = 0.0
    """The mask where it is to be made."""
    alike: bool = False
    """Whether the mask says how alike each frame should be to the picture, by its distance from it (PIA's affinity)."""
    between: Literal["no", "ends", "any"] = "no"
    """Whether it fills in frames: not, between the first and the last, or between any that are given."""
    one_everywhere: bool = False
    """Whether a single picture stands in every frame, whatever `elsewhere` says."""

    @property
    def width(self) -> int:
        """Number of further channels."""
        return sum(1 if channel == "mask" else LATENT for channel in self.channels)


DYNAMICRAFTER = GuideDesign(("picture",), "zero", between="ends", one_everywhere=True)
PIA = GuideDesign(("mask", "picture"), "picture", alike=True)
SEINE = GuideDesign(("mask", "picture"), "grey", given=0.0, made=1.0, between="ends")
ANIMATELCM = GuideDesign(("picture",), "picture")
LAVIE_INTERPOLATION = GuideDesign(("picture",), "picture", between="any")
CLEAN = GuideDesign((), "zero", between="any")
"""Zoetrope's."""

AFFINITIES: Mapping[str, tuple[float, ...]] = {
    "small motion": (1.0, 0.9, 0.85, 0.85, 0.85, 0.8),
    "moderate motion": (1.0, 0.8, 0.8, 0.8, 0.79, 0.78, 0.75),
    "large motion": (1.0, 0.8, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.6, 0.5, 0.5),
    "small loop": (1.0, 0.9, 0.85, 0.85, 0.85, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.85, 0.85, 0.9, 1.0),
    "moderate loop": (1.0, 0.8, 0.8, 0.8, 0.79, 0.78, 0.75, 0.75, 0.75, 0.75, 0.75, 0.78, 0.79, 0.8, 0.8, 1.0),
    "large loop": (1.0, 0.8, 0.7, 0.7, 0.7, 0.7, 0.6, 0.5, 0.5, 0.6, 0.7, 0.7, 0.7, 0.7, 0.8, 1.0),
    "restyle, small motion": (0.5, 0.4, 0.4, 0.4, 0.35, 0.3),
    "restyle, moderate motion": (0.5, 0.4, 0.4, 0.4, 0.35, 0.35, 0.3, 0.25, 0.2),
    "restyle, large motion": (0.5, 0.2),
}
"""PIA's levels: how alike frames are to the picture by their distance from it, the last value holding on (its `RANGE_LIST`)."""


@dataclass(frozen=True)
class GivenLatents:
    """Frames that are given, as latents."""

    frames: Mapping[int, Tensor]
    """Absolute number of the frame -> its latent `(c, h, w)`."""
    grey: Tensor | None = None
    """The latent of a mid-grey picture, for families that are shown one `(c, h, w)`."""
    affinity: tuple[float, ...] = AFFINITIES["small motion"]

    def nearest(self, number: int) -> int:
        """The given frame nearest to a frame; the earlier of two."""
        return min(self.frames, key=lambda given: (abs(given - number), given))


def pack(guide: GuideDesign, given: GivenLatents, numbers: Sequence[int]) -> Tensor:
    """The further channels of the frames with these absolute numbers, `(f, guide.width, h, w)`."""
    parts = [torch.cat([_channel(guide, given, channel, number) for channel in guide.channels]) for number in numbers]
    return torch.stack(parts)


def _channel(guide: GuideDesign, given: GivenLatents, channel: str, number: int) -> Tensor:
    near = given.nearest(number)
    picture = given.frames[near]
    if channel == "mask":
        value = guide.given if near == number else guide.made
        if guide.alike:
            value = given.affinity[min(abs(near - number), len(given.affinity) - 1)]
        return picture.new_full((1, *picture.shape[1:]), value)
    if near == number or guide.elsewhere == "picture" or (guide.one_everywhere and len(given.frames) == 1):
        return picture
    if guide.elsewhere == "grey":
        assert given.grey is not None, "a family that is shown grey pictures needs their latent"
        return given.grey
    return torch.zeros_like(picture)
