"""Small things that many tests need: clips, random motion modules, a diffusers UNet of a given layout."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor, nn
from zoetrope.models.formats.ldm import diffusers_table
from zoetrope.models.layers.attention import scaled_dot_product
from zoetrope.models.layers.temporal import TemporalContext
from zoetrope.models.motion.families import zoetrope as own
from zoetrope.models.motion.families.animatediff.module import ANIMATEDIFF, transformer
from zoetrope.models.motion.loading import take_apart
from zoetrope.models.motion.module import MotionModule
from zoetrope.models.motion.report import Report


def clip_of(frames: int, strength: float = 1.0, context: Tensor | None = None) -> TemporalContext:
    return TemporalContext(frames, strength, context, scaled_dot_product)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights of the size a trained network has: scaled by fan-in, norms near one; position tables stay as they are."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in module.named_parameters():
        if name.endswith("positions.pe"):
            continue
        drawn = torch.randn(parameter.shape, generator=generator)
        fan_in = max(1, parameter[0].numel())
        scale, offset = (fan_in**-0.5, 0.0) if parameter.ndim > 1 else (0.1, float("norm" in name and name.endswith("weight")))
        parameter.data = (drawn * scale + offset).to(parameter.dtype)
    return module


def own_motion(sites: Mapping[str, int], context: int = 16, frames: int = 16, seed: int = 0) -> MotionModule:
    """A random motion module of our own family for these sites."""
    motion = MotionModule(own.design(sites, context, frames, nn), frames)
    randomise(motion, seed)
    return motion.requires_grad_(False).eval()


def motion_from(tensors: Mapping[str, Tensor], name: str, ops: Any = nn) -> tuple[MotionModule, Report]:
    """Makes a motion module, and the report of it, of tensors in any published spelling."""
    opened = take_apart(tensors, {}, name, 0, ops)
    return opened.motion, opened.report


def animatediff_file(path: Path, width: int = 32, frames: int = 32) -> Path:
    """A random AnimateDiff v3 file with one module, at down.0.0."""
    shapes = {"x.norm.weight": (width,)} | {f"x.blocks.0.attentions.{i}.positions.pe": (1, frames, width) for i in (0, 1)}
    layer = randomise(transformer("x", shapes, "frame", torch.nn), 3)
    state = ANIMATEDIFF.spellings[0].table({}, "").restore({f"down.0.0.out.{k}": v for k, v in layer.state_dict().items()})
    save_file({k: v.contiguous() for k, v in state.items()}, path)
    return path


def diffusers_unet(layout: Mapping[str, Any]) -> Any:
    """A UNet2DConditionModel of the layout that an LDM config describes."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    widths = [layout["model_channels"] * m for m in layout["channel_mult"]]
    blocks = layout["num_res_blocks"][0]
    levels = [depth > 0 for depth in layout["transformer_depth"][::blocks]]
    heads: Any = layout["num_heads"]
    if "num_head_channels" in layout:
        heads = tuple(width // layout["num_head_channels"] for width in widths)
    classes = layout.get("adm_in_channels")
    rows = layout.get("num_classes") if not classes else None
    return UNet2DConditionModel(
        in_channels=layout["in_channels"],
        out_channels=layout["out_channels"],
        block_out_channels=tuple(widths),
        layers_per_block=blocks,
        cross_attention_dim=layout["context_dim"],
        attention_head_dim=heads,
        norm_num_groups=layout.get("groups", 32),
        down_block_types=tuple("CrossAttnDownBlock2D" if level else "DownBlock2D" for level in levels),
        up_block_types=tuple("CrossAttnUpBlock2D" if level else "UpBlock2D" for level in reversed(levels)),
        mid_block_type="UNetMidBlock2DCrossAttn",
        use_linear_projection=layout["use_linear_in_transformer"],
        norm_eps=1e-5,
        class_embed_type="projection" if classes else None,
        projection_class_embeddings_input_dim=classes,
        num_class_embeds=rows,
        only_cross_attention=tuple(layout.get("disable_self_attentions", [False] * len(widths))),
    ).eval()


def as_diffusers(ldm: Mapping[str, Tensor], unet: Any) -> dict[str, Tensor]:
    """An image UNet's weights in diffusers' spelling."""
    names = {key: value for key, value in unet.state_dict().items() if not key.startswith("class_embedding.linear")}
    weights = diffusers_table(names).restore({f"unet:{key}": value for key, value in ldm.items()})
    return {key.replace("add_embedding", "class_embedding"): value for key, value in weights.items()}


def frames_first(video: Tensor) -> Tensor:
    """`b c f h w` -> `(b f) c h w`."""
    return rearrange(video, "b c f h w -> (b f) c h w")


def error_of(rows: Tensor, video: Tensor) -> float:
    """Largest difference between `(b f) c h w` and `b c f h w`."""
    return (rows - frames_first(video)).abs().max().item()
