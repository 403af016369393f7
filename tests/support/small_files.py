"""Small files of every sort that a loader of ours takes, in published spelling, and the loaders."""

from collections.abc import Callable, Mapping
from typing import Any

import formats
import mangled
import torch
from layers import noise
from torch import Tensor
from zoetrope.models.image_prompt.loading import projector_from
from zoetrope.models.motion.families.animatediff.lora import lora_from
from zoetrope.models.motion.families.animatediff.sparsectrl import sparsectrl_from
from zoetrope.models.motion.loading import take_apart
from zoetrope.models.vae.kl import KLVae, Layout
from zoetrope.models.vae.loading import vae_from

Tensors = Mapping[str, Tensor]


def vae() -> dict[str, Tensor]:
    """An image autoencoder of two levels."""
    flat = KLVae(Layout((32, 32), 1, 4, quant=True, post_quant=True)).state_dict()
    return {key: value[..., None, None] if ".attn_1." in key and value.ndim == 2 else value for key, value in flat.items()}


def ip_adapter(layers: int = 16) -> dict[str, Tensor]:
    """A plain one, with narrow keys and values."""
    made = {f"ip_adapter.{2 * n + 1}.to_{kind}_ip.weight": noise(8, 4, seed=n) for n in range(layers) for kind in "kv"}
    made |= {"image_proj.proj.weight": noise(16, 6), "image_proj.proj.bias": noise(16)}
    return made | {"image_proj.norm.weight": noise(4), "image_proj.norm.bias": noise(4)}


def a_tenth(name: str) -> dict[str, Tensor]:
    """A published list with a tenth of the channels."""
    shapes = {key: [s // 10 if s >= 320 and s % 10 == 0 else s for s in v.shape] for key, v in formats.published(name).items()}
    return {key: torch.full(shape, 0.01) for key, shape in shapes.items()}


def lora(rank: int = 2) -> dict[str, Tensor]:
    place = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.{}.processor.to_q_lora"
    pairs = {f"{place.format(n)}.down.weight": noise(rank, 32, seed=n) for n in (0, 1)}
    return pairs | {f"{place.format(n)}.up.weight": noise(32, rank, seed=n + 5) for n in (0, 1)}


FILES: dict[str, Callable[[], dict[str, Tensor]]] = {
    "motion": mangled.sound, "lora": lora, "sparsectrl": lambda: a_tenth("sparsectrl_rgb_v3"), "projector": ip_adapter,
    "vae": vae,
}  # fmt: skip
LOADERS: dict[str, Callable[[Tensors], Any]] = {
    "motion": lambda tensors: take_apart(tensors, {}, "file", 0),
    "lora": lambda tensors: lora_from(tensors, "file"),
    "sparsectrl": lambda tensors: sparsectrl_from(tensors, "file"),
    "projector": lambda tensors: projector_from(tensors, {}, "file"),
    "vae": vae_from,
}
PLACES = {
    "motion": "Load Motion Module", "lora": "Apply Motion LoRA", "sparsectrl": "Load SparseCtrl",
    "projector": "Load Image Projector", "vae": "Load VAE",
}  # fmt: skip
"""What an error of another loader says of such a file."""
