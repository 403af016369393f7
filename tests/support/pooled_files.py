"""Full-size checkpoints of 2 MB: every tensor is a strided view of one random pool, which torch.save stores once.

Shapes are exactly the published ones, so the host's own detection and loaders take the files; only the weights mean nothing.
"""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import formats
import torch
from published_keys import animatediff
from torch import Tensor

POOL = 1 << 20


def save(shapes: Mapping[str, tuple[int, ...]], path: Path) -> Path:
    """Writes a torch checkpoint with these keys and shapes, half precision."""
    generator = torch.Generator().manual_seed(0)
    pool = (torch.randn(POOL, generator=generator) * 0.02).half()
    ones, zeros = torch.ones(1).half(), torch.zeros(1).half()
    state = {key: _tensor(key, tuple(shape), pool, ones, zeros) for key, shape in shapes.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"state_dict": state}, path)
    return path


def _tensor(key: str, shape: tuple[int, ...], pool: Tensor, ones: Tensor, zeros: Tensor) -> Tensor:
    if len(shape) <= 1:  # biases are silent, norms are neutral
        return (zeros if key.endswith("bias") else ones).expand(shape or 1).reshape(shape)
    offset = zlib.crc32(key.encode()) % 4096
    row = math.prod(shape[1:])
    step = min(row, (POOL - offset - row) // max(1, shape[0] - 1))  # rows overlap where the pool is too small
    inner = torch.empty(shape[1:], device="meta").stride()
    return pool.as_strided(shape, (step, *inner), offset)


def _unet(**layout: Any) -> dict[str, tuple[int, ...]]:
    """Shapes of the host's own UNet. Needs the host."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    fixed = {"image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "use_spatial_transformer": True}
    with torch.device("meta"):
        unet = UNetModel(**fixed, legacy=False, use_checkpoint=False, **layout)
    return {f"model.diffusion_model.{k}": tuple(v.shape) for k, v in unet.state_dict().items()}


def _vae() -> dict[str, tuple[int, ...]]:
    from comfy.ldm.models.autoencoder import AutoencoderKL

    layout = {
        "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
        "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
    }  # fmt: skip
    with torch.device("meta"):
        vae = AutoencoderKL(embed_dim=4, ddconfig=layout)
    return {f"first_stage_model.{k}": tuple(v.shape) for k, v in vae.state_dict().items()}


def _clip_l() -> dict[str, tuple[int, ...]]:
    import comfy.clip_model
    import comfy.ops
    import comfy.sd1_clip

    text = json.loads((Path(comfy.sd1_clip.__file__).parent / "sd1_clip_config.json").read_text())
    clip = comfy.clip_model.CLIPTextModel(text, torch.float16, "meta", comfy.ops.disable_weight_init)
    return {k: tuple(v.shape) for k, v in clip.state_dict().items() if "text_projection" not in k}


def open_clip_text(width: int, layers: int) -> dict[str, tuple[int, ...]]:
    """open_clip's text tower: ViT-H (1024, 24) in SD2.x and VideoCrafter, ViT-bigG (1280, 32) in SDXL."""
    shapes: dict[str, tuple[int, ...]] = {
        "positional_embedding": (77, width), "text_projection": (width, width), "logit_scale": (),
        "token_embedding.weight": (49408, width), "ln_final.weight": (width,), "ln_final.bias": (width,),
    }  # fmt: skip
    for layer in range(layers):
        place = f"transformer.resblocks.{layer}."
        shapes |= {f"{place}{n}.{p}": (width,) for n in ("ln_1", "ln_2") for p in ("weight", "bias")}
        shapes |= {f"{place}attn.in_proj_weight": (3 * width, width), f"{place}attn.in_proj_bias": (3 * width,)}
        for name, out, into in (("attn.out_proj", 1, 1), ("mlp.c_fc", 4, 1), ("mlp.c_proj", 1, 4)):
            shapes |= {f"{place}{name}.weight": (out * width, into * width), f"{place}{name}.bias": (out * width,)}
    return shapes


FOUR_LEVELS: dict[str, Any] = {
    "num_res_blocks": [2] * 4,
    "channel_mult": [1, 2, 4, 4],
    "transformer_depth": [1] * 6 + [0] * 2,
    "transformer_depth_output": [1] * 9 + [0] * 3,
    "transformer_depth_middle": 1,
}


def sd15_checkpoint(path: Path) -> Path:
    """UNet, CLIP text encoder and VAE of Stable Diffusion 1.5. Needs the host's classes for their shapes."""
    shapes = _unet(num_heads=8, context_dim=768, **FOUR_LEVELS) | _vae()
    return save(shapes | {f"cond_stage_model.transformer.{k}": v for k, v in _clip_l().items()}, path)


def sd2_checkpoint(path: Path) -> Path:
    """Stable Diffusion 2.x with eps-prediction."""
    shapes = _unet(num_head_channels=64, context_dim=1024, use_linear_in_transformer=True, **FOUR_LEVELS) | _vae()
    return save(shapes | {f"cond_stage_model.model.{k}": v for k, v in open_clip_text(1024, 24).items()}, path)


def sdxl_checkpoint(path: Path) -> Path:
    shapes = _unet(
        num_head_channels=64, context_dim=2048, use_linear_in_transformer=True, adm_in_channels=2816, num_classes="sequential",
        num_res_blocks=[2] * 3, channel_mult=[1, 2, 4], transformer_depth=[0, 0, 2, 2, 10, 10],
        transformer_depth_output=[0] * 3 + [2] * 3 + [10] * 3, transformer_depth_middle=10,
    )  # fmt: skip
    shapes |= _vae() | {f"conditioner.embedders.0.transformer.{k}": v for k, v in _clip_l().items()}
    return save(shapes | {f"conditioner.embedders.1.model.{k}": v for k, v in open_clip_text(1280, 32).items()}, path)


def published_file(name: str, path: Path) -> Path:
    """A file with the keys and shapes of a published one, the text tower that its list leaves out included."""
    shapes = {key: tuple(value.shape) for key, value in formats.published(name).items()}
    if any(key.startswith("first_stage_model.") for key in shapes) and not name.startswith("svd"):
        shapes |= {f"cond_stage_model.model.{k}": v for k, v in open_clip_text(1024, 24).items()}
    return save(shapes, path)


def animatediff_file(path: Path, member: str = "v3") -> Path:
    """A motion file of AnimateDiff's size and spelling."""
    return save({key: tuple(value.shape) for key, value in animatediff(member).items()}, path)


def clip_vision(path: Path, kind: str) -> Path:
    """A CLIP-Vision of full size in transformers' spelling: `h` (1280 wide, 32 layers) or `g` (1664, 48)."""
    import comfy.clip_model
    import comfy.clip_vision
    import comfy.ops

    layout = json.loads((Path(comfy.clip_vision.__file__).parent / f"clip_vision_config_{kind}.json").read_text())
    vision = comfy.clip_model.CLIPVisionModelProjection(layout, torch.float16, "meta", comfy.ops.disable_weight_init)
    return save({key: tuple(value.shape) for key, value in vision.state_dict().items()}, path)


def wan_model(path: Path) -> Path:
    """Wan 2.1 text to video, 1.3B. Needs the host's class for its shapes."""
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    sizes = {"dim": 1536, "ffn_dim": 8960, "num_heads": 12, "num_layers": 30, "freq_dim": 256, "text_dim": 4096}
    network = WanModel(
        model_type="t2v", in_dim=16, out_dim=16, cross_attn_norm=True, dtype=torch.float16, device="meta",
        operations=comfy.ops.disable_weight_init, **sizes,
    )  # fmt: skip
    return save({key: tuple(value.shape) for key, value in network.state_dict().items()}, path)


def wan_vae(path: Path) -> Path:
    """The VAE of Wan 2.1, at full size."""
    from comfy.ldm.wan.vae import WanVAE

    with torch.device("meta"):
        network = WanVAE(
            dim=96, z_dim=16, dim_mult=[1, 2, 4, 4], num_res_blocks=2, attn_scales=[], temperal_downsample=[False, True, True]
        )
    return save({key: tuple(value.shape) for key, value in network.state_dict().items()}, path)
