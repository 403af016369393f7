"""Random LoRAs for a tiny MODEL of the host, in every spelling. Import this only where a host is found: it imports comfy."""

from pathlib import Path
from typing import Any

import comfy.lora
import comfy.sd
import comfy.utils
import torch
from layers import noise
from safetensors.torch import save_file
from torch import Tensor, nn

RANK = 4
ENDINGS = {
    "kohya": (".lora_down.weight", ".lora_up.weight"),
    "kohya, diffusers' names": (".lora_down.weight", ".lora_up.weight"),
    "diffusers": ("_lora.down.weight", "_lora.up.weight"),
    "diffusers without processor": (".lora.down.weight", ".lora.up.weight"),
    "peft": (".lora_A.weight", ".lora_B.weight"),
    "peft with a name": (".lora_A.style.weight", ".lora_B.style.weight"),
}
"""Spelling -> ends of both factors' keys."""


def layers_of(model: Any) -> dict[str, nn.Module]:
    """The UNet's linear and convolution layers by name."""
    named = model.model.diffusion_model.named_modules()
    return {name: layer for name, layer in named if isinstance(layer, nn.Linear | nn.Conv2d)}


def diffusers_names(model: Any) -> dict[str, str]:
    """Name of a layer in the host's UNet -> its name in diffusers'."""
    table = comfy.utils.unet_to_diffusers(model.model.model_config.unet_config)
    return {ours.removesuffix(".weight"): theirs.removesuffix(".weight") for theirs, ours in table.items()}


def spelled(name: str, theirs: str, spelling: str) -> str:
    """A layer's name as a file of this spelling has it."""
    if spelling == "kohya":
        return f"lora_unet_{name.replace('.', '_')}"
    if spelling == "kohya, diffusers' names":
        return f"lora_unet_{theirs.replace('.', '_')}"
    if spelling == "diffusers":
        return f"unet.{theirs.replace('.to_', '.processor.to_').removesuffix('.0')}"
    return f"base_model.model.{theirs}" if spelling.startswith("peft") else f"unet.{theirs}"


def random_lora(
    model: Any, spelling: str = "kohya", alpha: float | None = 2.0, seed: int = 1, only: str = ""
) -> dict[str, Tensor]:
    """Factors for every layer whose name contains `only`; in kohya's spelling with an alpha each."""
    made: dict[str, Tensor] = {}
    theirs, (down, up) = diffusers_names(model), ENDINGS[spelling]
    for index, (name, layer) in enumerate(layers_of(model).items()):
        if only not in name or name not in theirs:
            continue
        weight: Any = layer.weight
        stem = spelled(name, theirs[name], spelling)
        rank = min(RANK, len(weight))
        made[stem + down] = noise(rank, *weight.shape[1:], seed=100 * seed + index) * 0.2
        made[stem + up] = noise(len(weight), rank, *[1] * (weight.ndim - 2), seed=100 * seed + index + 50) * 0.2
        if spelling.startswith("kohya") and alpha is not None:
            made[f"{stem}.alpha"] = torch.tensor(alpha)
    return made


def core(model: Any, lora: dict[str, Tensor], strength: float) -> Any:
    """The MODEL with the LoRA by core's loader."""
    return comfy.sd.load_lora_for_models(model, None, dict(lora), strength, 0)[0]


def saved(lora: dict[str, Tensor], folder: Path, name: str = "style.safetensors", **header: str) -> str:
    save_file({key: value.contiguous() for key, value in lora.items()}, folder / name, header)
    return str(folder / name)


def by_frame(model: Any, path: str, strength: Any = 1.0, start: float = 0.0, end: float = 1.0) -> Any:
    """The MODEL with the LoRA by frame."""
    from zoetrope.hosts.comfyui.conditioning.lora_by_frame import LoraSettings, apply_lora
    from zoetrope.hosts.comfyui.loaders.lora import load

    return apply_lora(model, load(path, model), LoraSettings(strength, start, end))


def ramp(*values: float) -> Tensor:
    """A strength by absolute frame."""
    from zoetrope.models.layers.strength import ByFrame

    return ByFrame.of(values)


def other_adapter(model: Any, kind: str) -> dict[str, Tensor]:
    """Random weights of another adapter in kohya's spelling, for some layers."""
    made: dict[str, Tensor] = {}
    for index, (name, layer) in enumerate(layers_of(model).items()):
        weight: Any = layer.weight
        kernel, stem = weight.shape[2:], f"lora_unet_{name.replace('.', '_')}"
        if min(weight.shape[:2]) < 8 or "tucker" in kind and len(kernel) == 0:
            continue
        parts = _parts(kind, weight.shape[0], weight.shape[1], tuple(kernel))
        made |= {f"{stem}.{end}": noise(*shape, seed=100 * index + at) * 0.3 for at, (end, shape) in enumerate(parts.items())}
        made[f"{stem}.alpha"] = torch.tensor(1.0)
    return made


def _parts(kind: str, outputs: int, inputs: int, kernel: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    columns = inputs * int(torch.tensor(kernel).prod()) if kernel else inputs
    if kind == "tucker":
        ones = (1,) * len(kernel)
        shapes = {"up": (outputs, 2, *ones), "down": (2, inputs, *ones), "mid": (2, 2, *kernel)}
        return {f"lora_{name}.weight": shape for name, shape in shapes.items()}
    if kind == "loha":
        return {"hada_w1_a": (outputs, 2), "hada_w1_b": (2, columns), "hada_w2_a": (outputs, 2), "hada_w2_b": (2, columns)}
    if kind == "loha tucker":
        pair = {f"hada_w{n}_{name}": (2, size) for n in (1, 2) for name, size in (("a", outputs), ("b", inputs))}
        return {**pair, "hada_t1": (2, 2, *kernel), "hada_t2": (2, 2, *kernel)}
    if kind == "lokr":
        return {"lokr_w1": (4, 4), "lokr_w2": (outputs // 4, inputs // 4, *kernel)}
    return {"lokr_w1": (4, 4), "lokr_w2_a": (outputs // 4, 2), "lokr_w2_b": (2, columns // 4)}
