"""Names of the places in a Stable Diffusion UNet where temporal layers go, and which base models have them.

A site is a string, the same for every host:

    input                           after the first convolution
    down.{level}.{block}.resnet     after a residual block            level 0 is the widest picture
    down.{level}.{block}.attention  after a spatial transformer
    down.{level}.{block}.out        after the last of the two, before any downsampler
    mid.0.resnet, mid.attention, mid.1.resnet
    up.{level}.{block}.resnet | attention | out        level 0 is the smallest picture, as published files count

`out` is AnimateDiff's rule (after the transformer, else after the residual block), so its files fit UNets that have their
transformers at other levels. A site is also the path of its layer inside a MotionModule, dots and all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Site = str


@dataclass(frozen=True)
class Base:
    """The shape of one kind of Stable Diffusion UNet."""

    name: str
    widths: tuple[int, ...]
    """Channels per level, widest picture first."""
    blocks: int
    """Residual blocks per down level; up levels have one more."""
    attention: tuple[bool, ...]
    """Whether each level has spatial transformers."""
    context: int
    """Width of the text tokens."""


SD1 = Base("SD1.x", (320, 640, 1280, 1280), 2, (True, True, True, False), 768)
SD2 = Base("SD2.x", (320, 640, 1280, 1280), 2, (True, True, True, False), 1024)
SDXL = Base("SDXL", (320, 640, 1280), 2, (False, True, True), 2048)
BASES = (SD1, SD2, SDXL)


def sites_of(base: Base) -> dict[Site, int]:
    """Every site of a base model, with its width in channels, in the order in which the UNet runs them."""
    sites = {"input": base.widths[0]}
    levels = list(zip(base.widths, base.attention, strict=True))
    for level, (width, attention) in enumerate(levels):
        for block in range(base.blocks):
            sites |= _block(f"down.{level}.{block}", width, attention)
    sites |= dict.fromkeys(("mid.0.resnet", "mid.attention", "mid.1.resnet"), base.widths[-1])
    for level, (width, attention) in enumerate(reversed(levels)):
        for block in range(base.blocks + 1):
            sites |= _block(f"up.{level}.{block}", width, attention)
    return sites


def _block(place: str, width: int, attention: bool) -> dict[Site, int]:
    kinds = ("resnet", "attention", "out") if attention else ("resnet", "out")
    return {f"{place}.{kind}": width for kind in kinds}


def misfits(wanted: Mapping[Site, int], found: Mapping[Site, int]) -> list[str]:
    """What keeps layers of `wanted` widths from a UNet with `found` sites, one readable line each."""
    lines = [f"{site}: the UNet has no such place" for site in wanted if site not in found]
    lines += [
        f"{site}: {width} channels in the file, {found[site]} in the UNet"
        for site, width in wanted.items()
        if site in found and found[site] != width
    ]
    return lines


def fitting(wanted: Mapping[Site, int], bases: Iterable[Base] = BASES) -> list[str]:
    """Names of the base models whose UNets have every site of `wanted` in the same width."""
    return [base.name for base in bases if not misfits(wanted, sites_of(base))]
