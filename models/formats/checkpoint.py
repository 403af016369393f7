"""From a file or folder to tensors: safetensors, or torch files through weights-only loading. Refusals name file and remedy."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import WrongFile
from .published import Metadata

SAFETENSORS = frozenset({".safetensors", ".sft"})
TORCH = frozenset({".ckpt", ".pt", ".pth", ".bin"})
CONTAINERS = ("ema", "state_dict", "module", "model", "controlnet")
"""Names under which training frameworks nest the weights; averaged ones first."""
PREFIXES = ("_forward_module.", "module.")
"""What data-parallel training (DeepSpeed, torch) puts before every key."""
MOST_NUMBERS = 10**10
"""No model of these kinds has a quarter as many weights; a small file can claim more than any memory holds."""
FOLDER_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
"""What diffusers calls the weights in a folder; shards and half-precision variants add to it."""


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], Metadata]:
    """All tensors of a file on the CPU, spelled as the file spells them, and its text header.

    path   a file, or a folder as diffusers writes them (a module's own, or a pipeline's with `unet` in it)
    Raises WrongFile for anything that is not a readable file of tensors. Nothing in a file is ever executed.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise WrongFile(f"{path.name}: there is no such file; expected a .safetensors or .ckpt in {path.parent}")
    if path.stat().st_size == 0:
        raise WrongFile(f"{path.name}: the file is empty (0 bytes); download it again")
    suffix = path.suffix.lower()
    if suffix in SAFETENSORS:
        tensors, metadata = _read_safetensors(path)
    elif suffix in TORCH:
        tensors, metadata = _read_torch(path), {}
    else:
        known = ", ".join(sorted(SAFETENSORS | TORCH))
        raise WrongFile(f"{path.name}: expected a file that ends in {known}, got {suffix or 'no ending'!r}")
    if not tensors:
        raise WrongFile(f"{path.name}: the file holds no tensors; it is not a model")
    if (total := sum(tensor.numel() for tensor in tensors.values())) > MOST_NUMBERS:
        raise WrongFile(f"{path.name}: expected a model of at most {MOST_NUMBERS:,} weights, the file claims {total:,}")
    return tensors, metadata


def files_of(folder: Path) -> list[Path]:
    """The weight files of a folder that diffusers wrote, all shards of one set; full precision before `fp16`."""
    for place in (folder, folder / "unet", folder / "motion_adapter"):
        for stem in FOLDER_STEMS:
            for suffix in (".safetensors", ".bin"):
                for variant in ("", ".fp16"):
                    if (single := place / f"{stem}{variant}{suffix}").is_file():
                        return [single]
                    if shards := sorted(place.glob(f"{stem}{variant}-?????-of-?????{suffix}")):
                        return _all_shards(shards)
    raise WrongFile(
        f"{folder.name}: this is a folder without weights; expected diffusion_pytorch_model.safetensors in it or in its unet "
        "folder"
    )


def _all_shards(shards: list[Path]) -> list[Path]:
    expected = int(shards[0].stem.rpartition("-of-")[2])
    if len(shards) != expected:
        raise WrongFile(f"{shards[0].parent.name}: expected {expected} parts of weights, got {len(shards)}; download the rest")
    return shards


def size_of(path: Path) -> int:
    """Bytes of a file, or of the weights in a folder."""
    return sum(file.stat().st_size for file in (files_of(path) if path.is_dir() else [path]))


def _read_folder(folder: Path) -> tuple[dict[str, Tensor], Metadata]:
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    for file in files_of(folder):
        held, header = read_tensors(file)
        tensors |= held
        metadata |= header
    return tensors, metadata


def _read_safetensors(path: Path) -> tuple[dict[str, Tensor], Metadata]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WrongFile(
            f"{path.name}: expected a safetensors file, but it cannot be read ({error}). "
            "It is truncated, corrupt or of another kind; download it again and compare its size."
        ) from error


def _read_torch(path: Path) -> dict[str, Tensor]:
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        raise ValueError(
            f"{path.name}: torch {torch.__version__} cannot read torch checkpoints safely (CVE-2025-32434); "
            "use the .safetensors version of this model, or torch 2.6 or later"
        )
    if zipfile.is_zipfile(path):
        _check_archive(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except UnpicklingError as error:
        raise WrongFile(
            f"{path.name}: the file is no plain torch checkpoint; it holds code or objects besides tensors, and Zoetrope never "
            f"runs what a file brings, or it is corrupt ({_first_line(error)}). Use the .safetensors version of this model, "
            "or convert it with a tool you trust."
        ) from error
    except MemoryError:
        raise
    except Exception as error:  # of torch's reader, where a corrupt file may fail anywhere; no code of ours runs in it
        raise WrongFile(
            f"{path.name}: expected a torch checkpoint, but it cannot be read ({_first_line(error)}). "
            "It is truncated, corrupt or of another kind; download it again and compare its size."
        ) from error
    return _unwrap(path, content)


def _check_archive(path: Path) -> None:
    """Torch stores tensors uncompressed: an archive that unpacks to more than its own size is none of torch's (a zip bomb)."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return  # torch's own reader says what is wrong
    if unpacked > path.stat().st_size:
        raise WrongFile(
            f"{path.name}: the archive claims to unpack to {unpacked:,} bytes, more than the file's {path.stat().st_size:,}; "
            "torch does not write such files. Do not use it; download the model again from a source you trust."
        )


def _unwrap(path: Path, content: Any) -> dict[str, Tensor]:
    for _ in range(2):  # such as {"ema": {"state_dict": ...}}
        if isinstance(content, Mapping) and not any(isinstance(value, Tensor) for value in content.values()):
            content = next((content[name] for name in CONTAINERS if isinstance(content.get(name), Mapping)), content)
    if isinstance(content, Mapping) and content and all(_is_table(value) for value in content.values()):
        content = {f"{part}.{key}": value for part, held in content.items() for key, value in held.items()}  # IP-Adapter's .bin
    if not isinstance(content, Mapping):
        raise WrongFile(f"{path.name}: expected a table of tensors, got {type(content).__name__}; it is not a model")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    for prefix in PREFIXES:
        if tensors and all(key.startswith(prefix) for key in tensors):
            tensors = {key.removeprefix(prefix): value for key, value in tensors.items()}
    return tensors


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(held, Tensor) for held in value.values())


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
