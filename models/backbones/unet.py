"""Names of the places in a Stable Diffusion UNet where temporal layers are inserted, and the base models that have them.

A site is a string, the same for every host:

    time                              on the time embedding, before classes are added
    input                             after the first convolution
    down.{level}.{block}.resnet       after a residual block            level 0 has the highest resolution
    down.{level}.{block}.before_text  inside a spatial transformer: between self-attention and text attention,
    down.{level}.{block}.before_ff    between text attention and feed-forward,
    down.{level}.{block}.block        and after the feed-forward; on tokens; only in transformers of one block
    down.{level}.{block}.attention    after a spatial transformer
    down.{level}.{block}.out          after the last of all these, before any downsampler
    down.{level}.end                  after the level's downsampler: changes the next module's input, not the skip
    mid.0.resnet, mid.before_text, mid.before_ff, mid.block, mid.attention, mid.1.resnet
    mid.end                           the same place as mid.1.resnet, for layers that run after those
    up.{level}.{block}.resnet | ... | out              level 0 has the lowest resolution, as in published files
    up.{level}.end                    after the level's upsampler

`out` is AnimateDiff's rule (after the transformer, else after the residual block), so its files fit UNets that have their
transformers at other levels. A site is also the path of its layer inside a MotionModule, with the same dots.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Site = str

_NAMED = re.compile(
    r"time|input|mid\.(?:[01]\.resnet|before_text|before_ff|block|attention|end)|(?:down|up)\.\d+\.end"
    r"|(?:down|up)\.\d+\.\d+\.(?:resnet|before_text|before_ff|block|attention|out)"
)


def check_site(site: Site) -> None:
    """Raises ValueError for a place that no UNet has."""
    if not _NAMED.fullmatch(site):
        raise ValueError(
            f"{site!r} is not a site; models/backbones/unet.py lists them: time, input, down.0.1.resnet, mid.attention, ..."
        )


def sees(site: Site) -> str:
    """Kind of hidden states at a site: `pictures` (b f) c h w, `tokens` (b f) (h w) d, or `rows` (b f) e."""
    return "rows" if site == "time" else "tokens" if site.rpartition(".")[2] in IN_BLOCK else "pictures"


@dataclass(frozen=True)
class Base:
    """Layout of one kind of Stable Diffusion UNet."""

    name: str
    widths: tuple[int, ...]
    """Channels per level, highest resolution first."""
    blocks: int
    """Residual blocks per down level; up levels have one more."""
    attention: tuple[int, ...]
    """Blocks in each spatial transformer of a level; 0: the level has none."""
    context: int
    """Width of the text tokens."""


SD1 = Base("SD1.x", (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 768)
SD2 = Base("SD2.x", (320, 640, 1280, 1280), 2, (1, 1, 1, 0), 1024)
SDXL = Base("SDXL", (320, 640, 1280), 2, (0, 2, 10), 2048)
X4 = Base("SD x4 upscaler", (256, 512, 512, 1024), 2, (0, 1, 1, 1), 1024)
BASES = (SD1, SD2, SDXL, X4)


def sites_of(base: Base) -> dict[Site, int]:
    """Every site of a base model with its width in channels, in the order in which the UNet runs them."""
    sites = {"time": 4 * base.widths[0], "input": base.widths[0]}
    levels = list(zip(base.widths, base.attention, strict=True))
    for level, (width, depth) in enumerate(levels):
        for block in range(base.blocks):
            sites |= _block(f"down.{level}.{block}", width, depth)
        sites[f"down.{level}.end"] = width
    middle = ("0.resnet", *_kinds(base.attention[-1] or 1), "1.resnet", "end")
    sites |= {f"mid.{kind}": base.widths[-1] for kind in middle}
    for level, (width, depth) in enumerate(reversed(levels)):
        for block in range(base.blocks + 1):
            sites |= _block(f"up.{level}.{block}", width, depth)
        sites[f"up.{level}.end"] = width
    return sites


IN_BLOCK = ("before_text", "before_ff", "block")
"""Kinds of sites inside a spatial transformer, where layers get tokens `(b f) (h w) d`."""


def _block(place: str, width: int, depth: int) -> dict[Site, int]:
    kinds = ("resnet", *(_kinds(depth) if depth else ()), "out")
    return {f"{place}.{kind}": width for kind in kinds}


def _kinds(depth: int) -> tuple[str, ...]:
    return (*IN_BLOCK, "attention") if depth == 1 else ("attention",)


def misfits(required: Mapping[Site, int], found: Mapping[Site, int]) -> list[str]:
    """Sites that layers require (site -> width) and a UNet lacks or has in another width, one line of text for each."""
    lines = [f"{site}: the UNet has no such place" for site in required if site not in found]
    lines += [
        f"{site}: {width} channels in the file, {found[site]} in the UNet"
        for site, width in required.items()
        if site in found and found[site] != width
    ]
    return lines


def base_of(sites: Mapping[Site, int], context: int) -> Base | None:
    """Base model whose UNet has exactly these sites and this width of text tokens; None for any other layout."""
    return next((base for base in BASES if base.context == context and sites_of(base) == dict(sites)), None)


def fitting(required: Mapping[Site, int], bases: Iterable[Base] = BASES) -> list[str]:
    """Names of the base models whose UNets have every required site in the same width."""
    return [base.name for base in bases if not misfits(required, sites_of(base))]
