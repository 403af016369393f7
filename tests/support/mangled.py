"""Ways to mangle a motion file, each a function of (path without ending, sound tensors, randomness) -> the file it wrote."""

import io
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import torch
from layers import noise
from safetensors.torch import save_file
from torch import Tensor
from zoetrope.models.motion.families import FAMILIES
from zoetrope.models.motion.families.animatediff.module import transformers
from zoetrope.models.motion.module import MotionModule

Mangle = Callable[[Path, dict[str, Tensor], random.Random], Path]


def sound(width: int = 32) -> dict[str, Tensor]:
    """A small AnimateDiff v3 in published spelling."""
    shapes: dict[str, tuple[int, ...]] = {}
    for site in ("down.0.0.out", "down.3.1.out", "up.0.2.out"):
        shapes |= {f"{site}.norm.weight": (width,)}
        shapes |= {f"{site}.blocks.0.attentions.{n}.positions.pe": (1, 32, width) for n in (0, 1)}
    motion = MotionModule(transformers(shapes, "frame", torch.nn), 32)
    state = {key: value.detach().contiguous() for key, value in motion.state_dict().items()}
    return next(f for f in FAMILIES if f.name == "animatediff").spellings[0].table({}, "").restore(state)


def saved(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    target = path.with_suffix(rng.choice((".safetensors", ".ckpt")))
    save_file(tensors, target) if target.suffix == ".safetensors" else torch.save(tensors, target)
    return target


def truncated(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    target = saved(path, tensors, rng)
    content = target.read_bytes()
    target.write_bytes(content[: rng.randrange(1, len(content))])
    return target


def empty(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    target = path.with_suffix(rng.choice((".safetensors", ".ckpt", ".pt", ".bin")))
    target.touch()
    return target


def wrong_shape(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    key = rng.choice(sorted(tensors))
    return saved(path, tensors | {key: noise(*(size + 1 for size in tensors[key].shape))}, rng)


def renamed(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    key = rng.choice(sorted(tensors))
    return saved(path, {k: v for k, v in tensors.items() if k != key} | {f"{key}x": tensors[key]}, rng)


def lacking(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    key = rng.choice([key for key in sorted(tensors) if "pos_encoder" not in key])
    return saved(path, {k: v for k, v in tensors.items() if k != key}, rng)


def two_families(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    stranger = rng.choice(
        ("input_blocks.1.0.temopral_conv.conv1.0.weight", "down_blocks.1.temporal_attentions.0.proj_in.bias",
         "down_blocks.0.attentions.0.transformer_blocks.0.attn_temp.to_q.weight", "middle_block.1.time_mixer.mix_factor")
    )  # fmt: skip
    return saved(path, tensors | {stranger: noise(32)}, rng)


def not_a_number(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    key = rng.choice(sorted(tensors))
    broken = tensors[key].clone()
    broken.view(-1)[rng.randrange(broken.numel())] = rng.choice((float("nan"), float("inf"), -float("inf")))
    return saved(path, tensors | {key: broken}, rng)


class Payload:
    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.marker),))


def code(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    """A checkpoint that would make a folder named `ran` if it were unpickled."""
    target = path.with_suffix(rng.choice((".ckpt", ".pt", ".pth", ".bin")))
    loaded = {**tensors, "extra": Payload(path.parent / "ran")}
    torch.save(loaded, target) if rng.random() < 0.7 else target.write_bytes(pickle.dumps(loaded))
    return target


def zip_bomb(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    """A torch archive whose first storage is compressed zeros, many times the file's size."""
    plain = io.BytesIO()
    torch.save(tensors, plain)
    target = path.with_suffix(".ckpt")
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as bomb:
        for entry in source.infolist():
            bomb.writestr(entry.filename, source.read(entry))
        bomb.writestr("archive/data/999", bytes(1 << 24))
    return target


def claims_too_much(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    """One number seen as ten thousand million: a few bytes in the file."""
    target = path.with_suffix(".ckpt")
    torch.save(tensors | {"huge": torch.zeros(1).expand(100_001, 100_001)}, target)
    return target


def a_header_that_lies(path: Path, tensors: dict[str, Tensor], rng: random.Random) -> Path:
    target = path.with_suffix(".safetensors")
    save_file(tensors, target)
    content = bytearray(target.read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    content[:8] = struct.pack("<Q", rng.choice((0, length + rng.randrange(1, 999), 1 << 62, length // 2)))
    target.write_bytes(bytes(content))
    return target


MANGLES: tuple[Mangle, ...] = (
    truncated, empty, wrong_shape, renamed, lacking, two_families, not_a_number, code, zip_bomb, claims_too_much,
    a_header_that_lies,
)  # fmt: skip
