"""From a file to tensors: safetensors, or torch files through weights-only loading. Every refusal names file and remedy."""

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .family import Metadata

SAFETENSORS = frozenset({".safetensors", ".sft"})
TORCH = frozenset({".ckpt", ".pt", ".pth", ".bin"})
CONTAINERS = ("state_dict",)
"""Names under which training frameworks nest the weights."""
PREFIXES = ("module.",)
"""What data-parallel training puts before every key."""


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], Metadata]:
    """All tensors of a file on the CPU, spelled as the file spells them, and its text header.

    Raises ValueError for anything that is not a readable file of tensors. Nothing in a file is ever executed.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path}: this is a folder; expected a .safetensors or .ckpt file")
    if not path.is_file():
        raise ValueError(f"{path.name}: there is no such file; expected a .safetensors or .ckpt in {path.parent}")
    if path.stat().st_size == 0:
        raise ValueError(f"{path.name}: the file is empty (0 bytes); download it again")
    suffix = path.suffix.lower()
    if suffix in SAFETENSORS:
        tensors, metadata = _read_safetensors(path)
    elif suffix in TORCH:
        tensors, metadata = _read_torch(path), {}
    else:
        known = ", ".join(sorted(SAFETENSORS | TORCH))
        raise ValueError(f"{path.name}: expected a file that ends in {known}, got {suffix or 'no ending'!r}")
    if not tensors:
        raise ValueError(f"{path.name}: the file holds no tensors; it is not a model")
    return tensors, metadata


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], Metadata]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(
            f"{path.name}: expected a safetensors file, but it cannot be read ({error}). "
            "It is truncated, corrupt or of another kind; download it again and compare its size."
        ) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        raise ValueError(
            f"{path.name}: torch {torch.__version__} cannot read torch checkpoints safely (CVE-2025-32434); "
            "use the .safetensors version of this model, or torch 2.6 or later"
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path.name}: the file is no plain torch checkpoint; it holds code or objects besides tensors, and Zoetrope never "
            f"runs what a file brings, or it is corrupt ({_first_line(error)}). Use the .safetensors version of this model, "
            "or convert it with a tool you trust."
        ) from error
    except Exception as error:  # a corrupt file may fail anywhere in torch's reader
        raise ValueError(
            f"{path.name}: expected a torch checkpoint, but it cannot be read ({_first_line(error)}). "
            "It is truncated, corrupt or of another kind; download it again and compare its size."
        ) from error
    return _unwrap(path, content)


def _unwrap(path: Path, content: Any) -> dict[str, Tensor]:
    for name in CONTAINERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping):
        raise ValueError(f"{path.name}: expected a table of tensors, got {type(content).__name__}; it is not a model")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    for prefix in PREFIXES:
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
