"""Stable Video Diffusion's temporal layers (arXiv 2311.15127), in the published and in diffusers' spelling.

ComfyUI runs SVD checkpoints without this pack; here the temporal layers are separated from the image UNet, so that they can be
studied and applied to Stable Diffusion 2.x checkpoints, whose layout they share. They were trained on the CLIP token of a
picture in place of text, and with continuous noise levels.
"""

from typing import Any

from ...backbones.unet import SD2, Site
from ...formats.facts import axes, header_number
from ...formats.keytable import KeyTable, Row, prefixed, product, weights
from ...formats.ldm import diffusers_spatial, four_channels, ldm_layout, ldm_spatial
from ...formats.published import Shapes, Spelling
from ...formats.shared_rows import BLOCK, FEED_FORWARD
from ...layers.blend import Alpha
from ...layers.svd import TimeStackBlock, TimeStackConv
from ...layers.temporal import TemporalLayer
from ..family import Contents, Family, Variant

HEAD_WIDTH = 64

MIX = Row("time_mixer.mix_factor", "blend.mix")
INNER = (*weights(("norm_in", "norm_in")), *prefixed(FEED_FORWARD, "ff_in.", "ff_in."), *prefixed(BLOCK, "", "block."))
LDM_CONV = (
    *weights(
        ("time_stack.in_layers.0", "norms.0"), ("time_stack.in_layers.2", "convs.0"),
        ("time_stack.emb_layers.1", "from_time"),
        ("time_stack.out_layers.0", "norms.1"), ("time_stack.out_layers.3", "convs.1"),
    ),
    MIX,
)  # fmt: skip
CONV = (
    *weights(
        ("temporal_res_block.norm1", "norms.0"), ("temporal_res_block.conv1", "convs.0"),
        ("temporal_res_block.time_emb_proj", "from_time"),
        ("temporal_res_block.norm2", "norms.1"), ("temporal_res_block.conv2", "convs.1"),
    ),
    MIX,
)  # fmt: skip
LDM_BLOCK = (
    *weights(("time_pos_embed.0", "index_in"), ("time_pos_embed.2", "index_out")),
    *prefixed(INNER, "time_stack.0."),
    MIX,
)
DIFFUSERS_BLOCK = (
    *weights(("time_pos_embed.linear_1", "index_in"), ("time_pos_embed.linear_2", "index_out")),
    *prefixed(INNER, "temporal_transformer_blocks.0."),
    MIX,
)


def ldm(keys: Shapes, prefix: str) -> KeyTable:
    layout = ldm_layout(keys, prefix)
    resnets = [Row(f"{name}.{b.index}.0.", f"{b.site}.resnet.") for name, b in layout.named]
    resnets += [Row("middle_block.0.", "mid.0.resnet."), Row("middle_block.2.", "mid.1.resnet.")]
    attentions = [Row(f"{name}.{b.index}.1.", f"{b.site}.block.") for name, b in layout.named if b.transformer]
    attentions += [Row("middle_block.1.", "mid.block.")]
    spatial = four_channels(ldm_spatial(layout), keys, prefix)
    rows = (*product(resnets, LDM_CONV), *product(attentions, LDM_BLOCK), *spatial)
    return KeyTable((*prefixed(rows, prefix), Row("first_stage_model.{*}", "vae:{*}"), Row("conditioner.{*}", "vision:{*}")))


def diffusers(keys: Shapes, prefix: str) -> KeyTable:
    resnets = [Row(f"{name}_blocks.{{}}.resnets.{{}}.", f"{name}.{{}}.{{}}.resnet.") for name in ("down", "up")]
    resnets += [Row("mid_block.resnets.{}.", "mid.{}.resnet.")]
    attentions = [Row(f"{name}_blocks.{{}}.attentions.{{}}.", f"{name}.{{}}.{{}}.block.") for name in ("down", "up")]
    attentions += [Row("mid_block.attentions.0.", "mid.block.")]
    spatial = four_channels(diffusers_spatial(keys, "spatial_res_block."), keys, prefix)
    rows = (*product(resnets, CONV), *product(attentions, DIFFUSERS_BLOCK), *spatial)
    return KeyTable(prefixed(rows, prefix))


def variant(contents: Contents) -> Variant:
    return Variant(
        name="14 or 25 frames",
        frames=14,
        max_frames=None,
        schedule=None,
        clip_norms=(),
        notes=("trained on a picture's token in place of text: an experiment on a text-to-image checkpoint",),
        bases=(SD2.name,),
        whole="core's Image Only Checkpoint Loader (img2vid model)",
    )


def build(contents: Contents, ops: Any) -> dict[Site, TemporalLayer]:
    """Empty layers for the shapes in a file. Heads have 64 channels, or `zoetrope.head_width` of the file's header."""
    head = header_number(contents.metadata, "zoetrope.head_width", HEAD_WIDTH)
    layers: dict[Site, TemporalLayer] = {}
    for key in contents.weights:
        if key.endswith(".from_time.weight"):
            site = key.removesuffix(".from_time.weight")
            layers[site] = _convolution(site, contents.weights, ops)
        elif key.endswith(".index_in.weight"):
            site = key.removesuffix(".index_in.weight")
            layers[site] = _block(site, contents.weights, head, ops)
    return layers


def _convolution(site: Site, shapes: Shapes, ops: Any) -> TimeStackConv:
    channels, embedding = axes(shapes[f"{site}.from_time.weight"], 2)
    return TimeStackConv(channels, embedding, Alpha("spatial", "sigmoid", 0.0), ops)


def _block(site: Site, shapes: Shapes, head: int, ops: Any) -> TimeStackBlock:
    channels, context = axes(shapes[f"{site}.block.attentions.1.to_k.weight"], 2)
    return TimeStackBlock(channels, channels // head, context, Alpha("spatial", "sigmoid", 0.0), ops)


SVD = Family(
    name="svd",
    title="Stable Video Diffusion",
    spellings=(
        Spelling(
            "published",
            ("input_blocks.{}.{}.time_stack.in_layers.0.weight", "input_blocks.{}.{}.time_mixer.mix_factor"),
            (),
            ldm,
        ),
        Spelling("diffusers", ("down_blocks.{}.resnets.{}.temporal_res_block.norm1.weight", "conv_in.weight"), (), diffusers),
    ),
    variant=variant,
    build=build,
)
