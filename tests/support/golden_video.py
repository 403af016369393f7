"""Whole video UNets of the golden files: each as an image UNet in LDM spelling, a motion module, inputs and one output."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import golden
import torch
from einops import rearrange, repeat
from torch import Tensor
from zoetrope.models.motion.frame_guide import LAVIE_INTERPOLATION, GivenLatents, pack
from zoetrope.models.motion.loading import OpenedFile, take_apart


@dataclass(frozen=True)
class VideoCase:
    opened: OpenedFile
    spatial: dict[str, Tensor]
    """The image UNet's weights in LDM spelling, all input channels."""
    layout: dict[str, Any]
    """Constructor arguments of the host's UNetModel; `groups` where its norms do not have 32."""
    sample: Tensor
    """`(b f) c h w`"""
    timesteps: Tensor
    """`(b f)`"""
    context: Tensor
    """`(b f) n d`"""
    classes: Tensor | None
    """`(b f) e`"""
    fps: float | None
    output: Tensor
    """`(b f) c h w`"""
    frames: int
    tolerance: float


def parameters() -> list[Any]:
    """pytest parameters, one per file; claims them."""
    return golden.claim(*READERS)


def read(path: Path) -> VideoCase:
    reader = next(reader for pattern, reader in READERS.items() if golden.matches(path, [pattern]))
    tensors, header = golden.read(path)
    return reader(tensors, golden.config(header), path)


def open_weights(weights: dict[str, Tensor], name: str, **said: int) -> tuple[OpenedFile, dict[str, Tensor]]:
    opened = take_apart(weights, {f"zoetrope.{key}": str(value) for key, value in said.items()}, name, 0)
    spatial = dict(opened.parts["unet"])
    first, more = "input_blocks.0.0.weight", opened.parts.get("image", {}).get("conv_in.weight")
    if more is not None:
        spatial[first] = torch.cat([spatial[first], more], dim=1)
    return opened, spatial


def layout(width: int, mult: list[int], blocks: int, attending: list[bool], **more: Any) -> dict[str, Any]:
    return {
        "image_size": 32,
        "in_channels": 4,
        "out_channels": 4,
        "model_channels": width,
        "channel_mult": mult,
        "num_res_blocks": [blocks] * len(mult),
        "transformer_depth": [int(level) for level in attending for _ in range(blocks)],
        "transformer_depth_output": [int(level) for level in attending for _ in range(blocks + 1)],
        "transformer_depth_middle": 1,
        "use_spatial_transformer": True,
        "legacy": False,
        "use_checkpoint": False,
        "adm_in_channels": None,
        **more,
    }


def videocrafter(tensors: dict[str, Tensor], config: dict[str, Any], path: Path) -> VideoCase:
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.")}
    opened, spatial = open_weights(weights, path.name)
    frames = tensors["x"].shape[2]
    levels = [2**level in config["attention_resolutions"] for level in range(len(config["channel_mult"]))]
    heads = {"num_heads": -1, "num_head_channels": config["num_head_channels"], "use_linear_in_transformer": True}
    return VideoCase(
        opened=opened,
        spatial=spatial,
        layout=layout(
            config["model_channels"], config["channel_mult"], config["num_res_blocks"], levels,
            context_dim=config["context_dim"], **heads,
        ),
        sample=rearrange(tensors["x"], "b c f h w -> (b f) c h w"),
        timesteps=repeat(tensors["timesteps"], "b -> (b f)", f=frames),
        context=repeat(tensors["context"], "b n d -> (b f) n d", f=frames),
        classes=None,
        fps=None,
        output=rearrange(tensors["y_fps_default16"], "b c f h w -> (b f) c h w"),
        frames=frames,
        tolerance=1e-4,
    )  # fmt: skip


def modelscope(tensors: dict[str, Tensor], config: dict[str, Any], path: Path) -> VideoCase:
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.")}
    opened, spatial = open_weights(weights, path.name)
    frames = config["T"]
    names = ("x", "t", "y") if "in.x" in tensors else ("sample", "timestep", "encoder_hidden_states")
    x, t, context = (tensors[f"in.{name}"] for name in names)
    levels = [0.5**level in config["attn_scales"] for level in range(len(config["dim_mult"]))]
    heads = {"num_heads": -1, "num_head_channels": config["head_dim"], "use_linear_in_transformer": True}
    return VideoCase(
        opened=opened,
        spatial=spatial,
        layout=layout(
            config["dim"], config["dim_mult"], config["num_res_blocks"], levels, context_dim=config["context_dim"], **heads
        ),
        sample=rearrange(x, "b c f h w -> (b f) c h w"),
        timesteps=repeat(t, "b -> (b f)", f=frames),
        context=repeat(context, "b n d -> (b f) n d", f=frames),
        classes=None,
        fps=None,
        output=rearrange(tensors["out.out"], "b c f h w -> (b f) c h w"),
        frames=frames,
        tolerance=2e-4 * tensors["out.out"].abs().max().item(),
    )


def lavie(tensors: dict[str, Tensor], config: dict[str, Any], path: Path) -> VideoCase:
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.")}
    opened, spatial = open_weights(weights, path.name, heads=config["attention_head_dim"])
    x = tensors["in.sample"]
    frames, widths = x.shape[2], config["block_out_channels"]
    levels = ["CrossAttn" in kind for kind in config["down_block_types"]]
    return VideoCase(
        opened=opened,
        spatial=spatial,
        layout=layout(
            widths[0], [width // widths[0] for width in widths], config["layers_per_block"], levels,
            context_dim=config["cross_attention_dim"], num_heads=config["attention_head_dim"],
            use_linear_in_transformer=False, groups=config["norm_num_groups"],
        ),
        sample=rearrange(x, "b c f h w -> (b f) c h w"),
        timesteps=repeat(tensors["in.timestep"], "b -> (b f)", f=frames),
        context=repeat(tensors["in.encoder_hidden_states"], "b n d -> (b f) n d", f=frames),
        classes=None,
        fps=None,
        output=rearrange(tensors["out.out"], "b c f h w -> (b f) c h w"),
        frames=frames,
        tolerance=2e-4 * tensors["out.out"].abs().max().item(),
    )  # fmt: skip


def interpolation(tensors: dict[str, Tensor], config: dict[str, Any], path: Path) -> VideoCase:
    """LaVie's: the packed channels are ours to make (models/motion/frame_guide.py), and are what goes in."""
    packed = interpolation_pack(tensors)[:, :, : config["frames_run"]]
    case = lavie(tensors | {"in.sample": packed}, config, path)
    return replace(case, layout=case.layout | {"in_channels": 8})


def interpolation_pack(tensors: dict[str, Tensor]) -> Tensor:
    """`b c f h w`: the noise, and what the guide says of the key frames."""
    video, noise = tensors["in.latent_video"], tensors["in.noise"]
    keys = {frame: video[0, :, frame] for frame in range(0, video.shape[2], 4)}
    told = pack(LAVIE_INTERPOLATION, GivenLatents(keys), range(video.shape[2]))
    return torch.cat([noise, rearrange(told, "f c h w -> 1 c f h w")], dim=1)


def upscaler(tensors: dict[str, Tensor], config: dict[str, Any], path: Path) -> VideoCase:
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.")}
    opened, spatial = open_weights(weights, path.name)
    widths, frames = config["block_out_channels"], tensors["in.latent"].shape[2]
    levels = ["CrossAttn" in kind for kind in config["down_block_types"]]
    x = torch.cat([tensors["in.latent"], tensors["in.low_res"]], dim=1)
    no_self = [bool(flag) for flag in config["only_cross_attention"]]
    return VideoCase(
        opened=opened,
        spatial=spatial,
        layout=layout(
            widths[0], [width // widths[0] for width in widths], config["layers_per_block"], levels,
            context_dim=config["cross_attention_dim"], num_heads=config["attention_head_dim"],
            use_linear_in_transformer=config["use_linear_projection"], in_channels=7, groups=config["norm_num_groups"],
            num_classes=config["num_class_embeds"], disable_self_attentions=no_self,
        ),
        sample=rearrange(x, "b c f h w -> (b f) c h w"),
        timesteps=repeat(tensors["in.timestep"], "b -> (b f)", f=frames),
        context=repeat(tensors["in.encoder_hidden_states"], "b n d -> (b f) n d", f=frames),
        classes=repeat(tensors["in.class_labels"], "b -> (b f)", f=frames).long(),
        fps=None,
        output=rearrange(tensors["out.out"], "b c f h w -> (b f) c h w"),
        frames=frames,
        tolerance=2e-4 * tensors["out.out"].abs().max().item(),
    )  # fmt: skip


def svd(tensors: dict[str, Tensor], config: dict[str, Any], path: Path) -> VideoCase:
    weights = {key[2:]: value for key, value in tensors.items() if key.startswith("w.")}
    opened, spatial = open_weights(weights, path.name, head_width=config["num_head_channels"])
    frames = config["T"]
    ldm, _ = golden.read(golden.sibling(path, "diffusers", "ldm"))  # the same inputs, rows and embedded conditions included
    assert "in.x" in tensors or torch.equal(rearrange(tensors["in.sample"], "b f c h w -> (b f) c h w"), ldm["in.x"]), (
        "the two files describe one run"
    )
    out = tensors["out.out"]
    heads = {"num_heads": -1, "num_head_channels": config["num_head_channels"], "use_linear_in_transformer": True}
    levels = [2**level in config["attention_resolutions"] for level in range(len(config["channel_mult"]))]
    more = {"in_channels": 8, "adm_in_channels": config["adm_in_channels"], "num_classes": "sequential", **heads}
    return VideoCase(
        opened=opened,
        spatial=spatial,
        layout=layout(
            config["model_channels"], config["channel_mult"], config["num_res_blocks"], levels,
            context_dim=config["context_dim"],
        ) | more,
        sample=ldm["in.x"],
        timesteps=ldm["in.timesteps"],
        context=ldm["in.context"],
        classes=ldm["in.y"],
        fps=None,
        output=out if out.ndim == 4 else rearrange(out, "b f c h w -> (b f) c h w"),
        frames=frames,
        tolerance=2e-4 * out.abs().max().item(),
    )  # fmt: skip


READERS: dict[str, Callable[[dict[str, Tensor], dict[str, Any], Path], VideoCase]] = {
    "unet_videocrafter2*": videocrafter,
    "unet_videocrafter1_t2v*": videocrafter,
    "modelscope_unet_*": modelscope,
    "lavie_base_unet*": lavie,
    "svd_unet_*": svd,
    "lavie_interp_unet*": interpolation,
    "lavie_vsr_unet*": upscaler,
    "uav_unet*": upscaler,
}
