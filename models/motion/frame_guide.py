"""Given frames: the input of each family for pictures that its clip begins with, ends with or stays close to.

The channels that a family gets besides the noisy latent `x` of 4 channels, and the values of its mask, are data here and
nowhere else. The further channels have separate weights, whose output is added where the file's wider layer has them, so the
image UNet's first convolution does not change.

family          further channels     mask                         frames without a picture
DynamiCrafter   picture              none                         the picture itself; with a first and a last one: zero
PIA             mask, picture        similarity to the picture    the nearest picture
SEINE           mask, picture        1: generated, 0: given       the latent of a mid-grey picture
AnimateLCM-I2V  picture              none                         the nearest picture
LaVie interp.   picture              none                         the nearest picture, the earlier of two
Zoetrope        none: given frames are in the clip itself, clean, with a noise level of zero

Sources: Doubiiu/DynamiCrafter c453369, open-mmlab/PIA 73f06d7, Vchitect/SEINE bd8d519, G-U-N/AnimateLCM f873122. One noise
level per frame follows Diffusion Forcing (arXiv 2407.01392).
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
    """Input of one family for given frames."""

    channels: Channels
    """Channels after those of the noisy latent, in order; empty: the given frames replace the noisy ones."""
    elsewhere: Literal["zero", "grey", "picture"]
    """Picture channels of frames that are not given."""
    given: float = 0.0
    """Mask value of given frames."""
    made: float = 0.0
    """Mask value of generated frames."""
    alike: bool = False
    """Whether the mask is a similarity to the picture, by the frame's distance from it (PIA's affinity)."""
    between: Literal["no", "ends", "any"] = "no"
    """Whether it generates frames between given ones: not at all, between the first and the last, or between any."""
    one_everywhere: bool = False
    """Whether a single picture is repeated in every frame, instead of `elsewhere`."""

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
"""Zoetrope's design: given frames are in the clip itself, clean."""

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
"""PIA's levels: similarity to the picture by distance from it in frames, constant after the last value (its `RANGE_LIST`)."""


@dataclass(frozen=True)
class GivenLatents:
    """Latents of the given frames."""

    frames: Mapping[int, Tensor]
    """Absolute number of the frame -> its latent `(c, h, w)`."""
    grey: Tensor | None = None
    """Latent `(c, h, w)` of a mid-grey picture, for families that use one."""
    affinity: tuple[float, ...] = AFFINITIES["small motion"]
    """One of PIA's levels, for families whose mask is a similarity."""

    def nearest(self, number: int) -> int:
        """Number of the given frame nearest to a frame; the earlier of two."""
        return min(self.frames, key=lambda given: (abs(given - number), given))


def pack(guide: GuideDesign, given: GivenLatents, numbers: Sequence[int]) -> Tensor:
    """Further channels of the frames with these absolute numbers, `(f, guide.width, h, w)`."""
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
        assert given.grey is not None, "expected the latent of a grey picture"
        return given.grey
    return torch.zeros_like(picture)
