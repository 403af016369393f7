"""Full-size checkpoints of 2 MB: every tensor is a strided view of one random pool, which torch.save stores once.

Shapes are exactly the published ones, so the host's own detection and loaders take the files; only the weights mean nothing.
"""

import math
import zlib
from collections.abc import Mapping
from pathlib import Path

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
        return (zeros if key.endswith("bias") else ones).expand(shape)
    offset = zlib.crc32(key.encode()) % 4096
    row = math.prod(shape[1:])
    step = min(row, (POOL - offset - row) // max(1, shape[0] - 1))  # rows overlap where the pool is too small
    inner = torch.empty(shape[1:], device="meta").stride()
    return pool.as_strided(shape, (step, *inner), offset)


def sd15_checkpoint(path: Path) -> Path:
    """UNet, CLIP text encoder and VAE of Stable Diffusion 1.5. Needs the host's classes for their shapes."""
    import comfy.clip_model
    import comfy.ops
    import comfy.sd1_clip
    from comfy.ldm.models.autoencoder import AutoencoderKL
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    ops = comfy.ops.disable_weight_init
    with torch.device("meta"):
        unet = UNetModel(
            image_size=32, in_channels=4, out_channels=4, model_channels=320, num_res_blocks=[2] * 4, channel_mult=[1, 2, 4, 4],
            num_heads=8, use_spatial_transformer=True, context_dim=768, legacy=False, use_checkpoint=False,
            transformer_depth=[1] * 6 + [0] * 2, transformer_depth_output=[1] * 9 + [0] * 3, transformer_depth_middle=1,
        )  # fmt: skip
        vae = AutoencoderKL(
            embed_dim=4,
            ddconfig={
                "double_z": True, "z_channels": 4, "resolution": 256, "in_channels": 3, "out_ch": 3, "ch": 128,
                "ch_mult": [1, 2, 4, 4], "num_res_blocks": 2, "attn_resolutions": [], "dropout": 0.0,
            },
        )  # fmt: skip
    import json

    text = json.loads((Path(comfy.sd1_clip.__file__).parent / "sd1_clip_config.json").read_text())
    clip = comfy.clip_model.CLIPTextModel(text, torch.float16, "meta", ops)
    shapes = {f"model.diffusion_model.{k}": tuple(v.shape) for k, v in unet.state_dict().items()}
    shapes |= {f"first_stage_model.{k}": tuple(v.shape) for k, v in vae.state_dict().items()}
    shapes |= {
        f"cond_stage_model.transformer.{k}": tuple(v.shape) for k, v in clip.state_dict().items() if "text_projection" not in k
    }
    return save(shapes, path)


def animatediff_file(path: Path, member: str = "v3") -> Path:
    """A motion file of AnimateDiff's size and spelling."""
    return save({key: tuple(value.shape) for key, value in animatediff(member).items()}, path)
