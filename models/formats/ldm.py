"""Key rows of Stable Diffusion's UNet in LDM's and diffusers' spelling, and the mapping of LDM's block numbers to sites.

LDM numbers blocks through all levels (`input_blocks.4.1`), including temporal layers; the number of blocks per level is derived
from the positions of the down- and upsamplers. Our spelling of an image UNet is LDM's, without temporal layers.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from ..errors import WrongFile
from .keytable import KeyTable, Row, Take, prefixed, product, same, weights

LDM_RESNET = weights(
    ("in_layers.0", "norm1"), ("in_layers.2", "conv1"), ("emb_layers.1", "time_emb_proj"), ("out_layers.0", "norm2"),
    ("out_layers.3", "conv2"), ("skip_connection", "conv_shortcut"),
)  # fmt: skip
"""Rows of a residual block, (LDM, diffusers)."""

RESNET = tuple(Row(row.ours, row.published) for row in LDM_RESNET)
"""Rows of a residual block, (diffusers, LDM)."""

TRANSFORMER = (
    *(same(*(f"{name}.{p}" for name in ("norm", "proj_in", "proj_out") for p in ("weight", "bias")))),
    *(same(*(f"transformer_blocks.{{}}.norm{n}.{p}" for n in (1, 2, 3) for p in ("weight", "bias")))),
    *(same(*(f"transformer_blocks.{{}}.attn{n}.to_{q}.weight" for n in (1, 2) for q in "qkv"))),
    *(same(*(f"transformer_blocks.{{}}.attn{n}.to_out.0.{p}" for n in (1, 2) for p in ("weight", "bias")))),
    *(same(*(f"transformer_blocks.{{}}.ff.net.{n}.{p}" for n in ("0.proj", "2") for p in ("weight", "bias")))),
)
"""Rows of a spatial transformer, which is spelled alike in both."""

LDM_EDGES = weights(
    ("time_embed.0", "time_embed.0"), ("time_embed.2", "time_embed.2"), ("label_emb.0.0", "label_emb.0.0"),
    ("label_emb.0.2", "label_emb.0.2"), ("input_blocks.0.0", "input_blocks.0.0"), ("out.0", "out.0"), ("out.2", "out.2"),
)  # fmt: skip

EDGES = weights(
    ("time_embedding.linear_1", "time_embed.0"), ("time_embedding.linear_2", "time_embed.2"),
    ("add_embedding.linear_1", "label_emb.0.0"), ("add_embedding.linear_2", "label_emb.0.2"),
    ("conv_in", "input_blocks.0.0"), ("conv_norm_out", "out.0"), ("conv_out", "out.2"),
)  # fmt: skip
"""Rows of the first and last layers and of the embeddings, (diffusers, LDM)."""

CLASSES = Row("class_embedding.weight", "label_emb.weight")
"""Row of the x4 upscaler's embedding of noise levels, (diffusers, LDM)."""


@dataclass(frozen=True)
class Numbered:
    """One of LDM's numbered blocks."""

    index: int
    site: str
    """Prefix of its sites: `down.1.0` or `up.2.1`; empty for a downsampler."""
    child: str
    """Published number of the up- or downsampler among the block's children: `2.`, or empty (ModelScope)."""
    resamples: bool
    """Whether it has an up- or downsampler."""
    transformer: bool
    """Whether it has a spatial transformer."""


@dataclass(frozen=True)
class Layout:
    """LDM's blocks in order; a down level ends with a block that is only a downsampler."""

    down: tuple[Numbered, ...]
    up: tuple[Numbered, ...]
    last_middle: int
    """Index of the middle's second residual block: 2, or 3 after a temporal layer."""

    @property
    def named(self) -> list[tuple[str, Numbered]]:
        """(`input_blocks` or `output_blocks`, block) for each block with sites."""
        return [("input_blocks", b) for b in self.down if b.site] + [("output_blocks", b) for b in self.up]


def ldm_layout(keys: Collection[str], prefix: str) -> Layout:
    """Layout of the UNet with these LDM keys below `prefix`, with or without temporal layers.

    Raises WrongFile where block numbers have a gap.
    """
    inside = [key.removeprefix(prefix) for key in keys if key.startswith(prefix)]
    last = 3 if any(key.startswith("middle_block.3.") for key in inside) else 2
    return Layout(_down(inside), _up(inside), last)


def _down(keys: list[str]) -> tuple[Numbered, ...]:
    blocks, level, block = [], 0, 0
    for index in _numbers("input_blocks", keys)[1:]:
        mine = [key for key in keys if key.startswith(f"input_blocks.{index}.")]
        sampler = _child(r"input_blocks\.\d+\.((?:\d+\.)?)op\.weight", mine)
        if sampler is not None:
            blocks.append(Numbered(index, "", sampler, True, False))
            level, block = level + 1, 0
        else:
            blocks.append(Numbered(index, f"down.{level}.{block}", "", False, _attends(mine)))
            block += 1
    return tuple(blocks)


def _up(keys: list[str]) -> tuple[Numbered, ...]:
    blocks, level, block = [], 0, 0
    for index in _numbers("output_blocks", keys):
        mine = [key for key in keys if key.startswith(f"output_blocks.{index}.")]
        sampler = _child(r"output_blocks\.\d+\.(\d+\.)conv\.weight", mine)
        found = sampler is not None
        blocks.append(Numbered(index, f"up.{level}.{block}", sampler or "", found, _attends(mine)))
        level, block = (level + 1, 0) if found else (level, block + 1)
    return tuple(blocks)


def _child(spelling: str, keys: list[str]) -> str | None:
    return next((match.group(1) for key in keys if (match := re.fullmatch(spelling, key))), None)


def _numbers(name: str, keys: list[str]) -> list[int]:
    found = sorted({int(match.group(1)) for key in keys if (match := re.match(rf"{name}\.(\d+)\.", key))})
    if found != list(range(len(found))):
        raise WrongFile(f"{name}: expected blocks numbered 0, 1, 2, ... without a gap, got {found}")
    return found


def _attends(keys: list[str]) -> bool:
    return any(".1.transformer_blocks." in key for key in keys)


def ldm_spatial(layout: Layout) -> tuple[Row, ...]:
    """Rows of the image UNet inside a video UNet in LDM spelling -> `unet:`; resamplers and the middle are renumbered."""
    resnets = [Row(f"{name}.{b.index}.0.", f"unet:{name}.{b.index}.0.") for name, b in layout.named]
    resnets += [Row("middle_block.0.", "unet:middle_block.0.")]
    resnets += [Row(f"middle_block.{layout.last_middle}.", "unet:middle_block.2.")]
    attentions = [Row(f"{name}.{b.index}.1.", f"unet:{name}.{b.index}.1.") for name, b in layout.named if b.transformer]
    attentions += [Row("middle_block.1.", "unet:middle_block.1.")]
    samplers: list[tuple[str, str]] = []
    for b in layout.down:
        if not b.site:
            samplers.append((f"input_blocks.{b.index}.{b.child}op", f"unet:input_blocks.{b.index}.0.op"))
    for b in layout.up:
        if b.resamples:
            place = f"output_blocks.{b.index}."
            samplers.append((f"{place}{b.child}conv", f"unet:{place}{2 if b.transformer else 1}.conv"))
    ldm_resnet = same(*(row.published for row in LDM_RESNET))
    edges = prefixed((*LDM_EDGES, Row(CLASSES.ours, CLASSES.ours)), ours="unet:")
    return (*edges, *product(resnets, ldm_resnet), *product(attentions, TRANSFORMER), *weights(*samplers))


def diffusers_spatial(keys: Collection[str], resnet: str = "") -> tuple[Row, ...]:
    """Rows of an image UNet in diffusers' spelling -> `unet:` in LDM's.

    resnet   name between a residual block and its parameters (SVD: `spatial_res_block.`)
    """
    levels, blocks, attending = _diffusers_layout(keys)
    resnets = [Row("mid_block.resnets.0.", "unet:middle_block.0."), Row("mid_block.resnets.1.", "unet:middle_block.2.")]
    attentions = [Row("mid_block.attentions.0.", "unet:middle_block.1.")]
    samplers: list[tuple[str, str]] = []
    for level in range(levels):
        for block in range(blocks):
            published, ours = f"down_blocks.{level}.", f"unet:input_blocks.{level * (blocks + 1) + 1 + block}."
            resnets.append(Row(f"{published}resnets.{block}.", f"{ours}0."))
            attentions.append(Row(f"{published}attentions.{block}.", f"{ours}1."))
        for block in range(blocks + 1):
            published, ours = f"up_blocks.{level}.", f"unet:output_blocks.{level * (blocks + 1) + block}."
            resnets.append(Row(f"{published}resnets.{block}.", f"{ours}0."))
            attentions.append(Row(f"{published}attentions.{block}.", f"{ours}1."))
        down, up = (level + 1) * (blocks + 1), level * (blocks + 1) + blocks
        child = 2 if level in attending else 1
        samplers.append((f"down_blocks.{level}.downsamplers.0.conv", f"unet:input_blocks.{down}.0.op"))
        samplers.append((f"up_blocks.{level}.upsamplers.0.conv", f"unet:output_blocks.{up}.{child}.conv"))
    edges = prefixed((*EDGES, CLASSES), ours="unet:")
    parameters = prefixed(RESNET, published=resnet)
    return (*edges, *product(resnets, parameters), *product(attentions, TRANSFORMER), *weights(*samplers))


def _diffusers_layout(keys: Collection[str]) -> tuple[int, int, set[int]]:
    """Number of levels, residual blocks per down level, and the up levels with spatial transformers."""
    down = [m for key in keys if (m := re.search(r"(?:^|\.)down_blocks\.(\d+)\.resnets\.(\d+)\.", key))]
    if not down:
        raise WrongFile("expected down_blocks.0.resnets.0. among the keys, got none")
    up = {int(m.group(1)) for key in keys if (m := re.search(r"(?:^|\.)up_blocks\.(\d+)\.attentions\.", key))}
    return max(int(m.group(1)) for m in down) + 1, max(int(m.group(2)) for m in down) + 1, up


def diffusers_table(diffusers_keys: Collection[str]) -> KeyTable:
    """Key table of diffusers' `UNet2DConditionModel`, without temporal layers; ours is `unet:` and LDM's spelling."""
    return KeyTable(diffusers_spatial(diffusers_keys))


def four_channels(spatial: Iterable[Row], shapes: Mapping[str, tuple[int, ...]], prefix: str) -> tuple[Row, ...]:
    """Rows that split the first convolution: Stable Diffusion's four input channels remain in the UNet, further ones, for a
    picture or a mask, become `image:conv_in.weight`."""
    rows = []
    for row in spatial:
        if row.ours == "unet:input_blocks.0.0.weight" and shapes.get(prefix + row.published, (0, 4))[1] > 4:
            rows += [Row(row.published, row.ours, Take(1, 0, 4)), Row(row.published, "image:conv_in.weight", Take(1, 4, None))]
        else:
            rows.append(row)
    return tuple(rows)
