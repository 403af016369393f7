"""Key lists of published files, written down from the papers' layouts: shapes without storage."""

import torch
from zoetrope.models.backbones.unet import SD1, sites_of
from zoetrope.models.motion.families.animatediff.module import ANIMATEDIFF

TABLE = ANIMATEDIFF.spellings[0].table({}, "")
ANIMATEDIFF_MEMBERS = {"v1": (560, 24, ("resnet", "out")), "v2": (588, 32, ()), "v3": (560, 32, ())}
"""Member -> number of keys, length of the position table, norms of the image UNet that span the clip."""


def animatediff(member: str) -> dict[str, torch.Tensor]:
    """The published key list of a member at SD1.x size."""
    _, table, _ = ANIMATEDIFF_MEMBERS[member]
    shapes: dict[str, tuple[int, ...]] = {}
    for site, width in sites_of(SD1).items():
        if site.endswith(".out") or (site == "mid.attention" and member == "v2"):
            shapes |= _layer(TABLE.published(f"{site}.norm.weight") or "", width, table)
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def _layer(first: str, width: int, table: int) -> dict[str, tuple[int, ...]]:
    place = first.removesuffix("norm.weight")
    block = place + "transformer_blocks.0."
    shapes: dict[str, tuple[int, ...]] = {}
    for name in (f"{place}norm", f"{block}norms.0", f"{block}norms.1", f"{block}ff_norm"):
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    square = (
        f"{place}proj_in",
        f"{place}proj_out",
        f"{block}attention_blocks.0.to_out.0",
        f"{block}attention_blocks.1.to_out.0",
    )
    for name in square:
        shapes |= {f"{name}.weight": (width, width), f"{name}.bias": (width,)}
    for index in (0, 1):
        attention = f"{block}attention_blocks.{index}."
        shapes |= {f"{attention}{name}.weight": (width, width) for name in ("to_q", "to_k", "to_v")}
        shapes[f"{attention}pos_encoder.pe"] = (1, table, width)
    shapes |= {f"{block}ff.net.0.proj.weight": (8 * width, width), f"{block}ff.net.0.proj.bias": (8 * width,)}
    return shapes | {f"{block}ff.net.2.weight": (width, 4 * width), f"{block}ff.net.2.bias": (width,)}
