"""Random changes of a file of weights, several at once: of its table, of its container, of its header, of its bytes."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

Table = dict[str, Tensor]
DTYPES = (
    torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2, torch.int8, torch.int64, torch.bool,
    torch.complex64, torch.uint8,
)  # fmt: skip
STRANGERS = (
    "global_step", "loss.lpips.weight", "model_ema.decay", "x", "unet.conv_in.weight", "input_hint_block.0.weight",
    "module.x.weight", "ema.x.weight", "scaled_fp8", "down_blocks.0.motion_modules.0.extra.weight",
    "lora_unet_x.lora_down.weight", "betas", "",
    "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.to_q.alpha", "vae.x.weight",
    "{}.{}", "a.weight.absmax", "clip_l", "shadow_params", ".", "x" * 300,
)  # fmt: skip
PREFIXES = ("module.", "_orig_mod.", "unet.", "model.diffusion_model.", "base_model.model.", "ema_model.", "x.")
HEADERS = (
    {"lora_adapter_metadata": "{"}, {"lora_adapter_metadata": '{"unet.lora_alpha": "x"}'}, {"ss_network_alpha": "nan"},
    {"lora_adapter_metadata": '{"unet.lora_alpha": 1, "unet.alpha_pattern": 3, "unet.r": "4"}'}, {"alpha": "[]", "rank": "2"},
    {"lora_adapter_metadata": '[{"lora_alpha": 1}]'}, {"lora_alpha": "1e400"}, {"format": "pt"}, {"zoetrope.heads": "-1"},
)  # fmt: skip


def any_key(table: Table, rng: random.Random) -> str:
    return rng.choice(sorted(table)) if table else ""


def renamed(table: Table, rng: random.Random) -> Table:
    key = any_key(table, rng)
    new = rng.choice((key + "x", key.replace(".", "_"), key[1:], key.replace("0", "7", 1), key.upper(), rng.choice(STRANGERS)))
    return {new if name == key else name: value for name, value in table.items()}


def dropped(table: Table, rng: random.Random) -> Table:
    gone = set(rng.sample(sorted(table), min(len(table), rng.randint(1, 4))))
    return {name: value for name, value in table.items() if name not in gone}


def added(table: Table, rng: random.Random) -> Table:
    return table | {rng.choice(STRANGERS): torch.ones(rng.choice(((), (1,), (0,), (3, 2), (4, 4, 1, 1))))}


def retyped(table: Table, rng: random.Random) -> Table:
    dtype, all_of_it = rng.choice(DTYPES), rng.random() < 0.5
    key = any_key(table, rng)
    return {name: value.to(dtype) if all_of_it or name == key else value for name, value in table.items()}


def reshaped(table: Table, rng: random.Random) -> Table:
    key = any_key(table, rng)
    if not key:
        return table
    value = table[key] if table[key].ndim else table[key][None]
    new = rng.choice(
        (value[..., None], value[None], value.flatten(), value[:0], value.new_zeros(()),
         value.new_zeros([s + 1 for s in value.shape]),
         value.transpose(0, -1).contiguous(), value.new_zeros((3, 1, 2)))
    )  # fmt: skip
    return table | {key: new}


def undefined(table: Table, rng: random.Random) -> Table:
    key = any_key(table, rng)
    if not key or not table[key].is_floating_point() or not table[key].numel() or table[key].element_size() == 1:
        return table
    broken = table[key].clone()
    broken.view(-1)[0] = rng.choice((float("nan"), float("inf")))
    return table | {key: broken}


def prefixed(table: Table, rng: random.Random) -> Table:
    prefix, some = rng.choice(PREFIXES), rng.random() < 0.3
    return {name if some and rng.random() < 0.5 else prefix + name: value for name, value in table.items()}


def averaged(table: Table, rng: random.Random) -> Table:
    dots, prefix = rng.random() < 0.5, rng.choice(("model_ema.", "ema.", "unet_ema."))
    part = {n: v for n, v in table.items() if rng.random() < 0.8}
    return table | {prefix + (name if dots else name.replace(".", "")): value for name, value in part.items()}


CHANGES: tuple[Callable[[Table, random.Random], Table], ...] = (
    renamed, dropped, added, retyped, reshaped, undefined, prefixed, averaged,
)  # fmt: skip


def nested(table: Table, rng: random.Random) -> Any:
    """The table in a container, perhaps beside others."""
    held: Any = table
    for _ in range(rng.randint(0, 3)):
        held = {rng.choice(("model", "state_dict", "ema", "module", "unet", "optimizer", "callbacks", "image_proj")): held}
        if rng.random() < 0.4:
            held |= {
                rng.choice(("net", "ema_state_dict", "step", "config", "d")): rng.choice((table, 3, {"a": 1}, [1], None, "x"))
            }
    return held


def written(path: Path, table: Table, rng: random.Random) -> tuple[Path, bool]:
    """The file of a changed table, and whether bytes of it were damaged afterwards."""
    for _ in range(rng.randint(0, 3)):
        table = rng.choice(CHANGES)(table, rng)
    target = path.with_suffix(rng.choice((".safetensors", ".ckpt")))
    if target.suffix == ".safetensors":
        header = rng.choice((None, None, *HEADERS))
        save_file({key: value.clone().contiguous() for key, value in table.items()}, target, metadata=header)
    else:
        torch.save(nested(table, rng), target)
    damaged = rng.random() < 0.4
    if damaged:
        content = bytearray(target.read_bytes())
        for _ in range(rng.randint(1, 4)):
            where = rng.randrange(len(content)) if rng.random() < 0.3 else rng.randrange(min(len(content), 6000))
            content[where] ^= rng.randint(1, 255)
        target.write_bytes(bytes(content[: rng.choice((len(content), len(content), rng.randrange(1, len(content) + 1)))]))
    return target, damaged
