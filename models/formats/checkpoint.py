"""Reading of tensors from a file or folder: safetensors, or torch files by weights-only loading. Errors name file and remedy.

The kind of a file is derived from its first bytes; its ending only decides whether it is opened.
"""

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..errors import WrongFile
from .containers import unpack
from .damage import diagnose, is_archive, is_safetensors, is_zip
from .leftovers import clean_weights, words
from .objects import left_objects, of_training, refused, stand_ins
from .published import Metadata
from .strict import in_file

SAFETENSORS = frozenset({".safetensors", ".sft"})
TORCH = frozenset({".ckpt", ".pt", ".pth", ".bin"})
MOST_NUMBERS = 10**10
"""Most weights of a file, over four times those of the largest supported model: a small file's header may have any number."""
FOLDER_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model", "adapter_model", "pytorch_lora_weights")
"""Names of weight files by diffusers, accelerate and PEFT, without suffixes of shards and half-precision variants."""
FOLDERS = ("", "unet_ema", "unet", "motion_adapter")
"""Subfolders with weights, by priority; diffusers' training scripts write averaged weights beside the raw ones."""


@dataclass(frozen=True)
class FileContents:
    """Contents of a file or folder."""

    tensors: Mapping[str, Tensor]
    """Weights on the CPU under the file's key names, without names of wrappers and without leftovers of training."""
    metadata: Metadata
    """The text header of safetensors, or texts and numbers beside the weights of a torch file."""
    notes: tuple[str, ...]
    """How the weights were found, as lines of text; empty where the file holds nothing else."""


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], Metadata]:
    """All weights of a file or folder, and its text header; as `read_file`, without the notes."""
    contents = read_file(path)
    return dict(contents.tensors), contents.metadata


def read_file(path: str | Path) -> FileContents:
    """Reads all weights of a file; where it has averaged (EMA) and raw ones, the averaged ones.

    path   a file, or a folder as diffusers writes it (of a module, or of a pipeline with `unet` in it)
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
    if suffix not in SAFETENSORS | TORCH:
        endings = ", ".join(sorted(SAFETENSORS | TORCH))
        reason = f"; {found}" if (found := diagnose(path)) else ""
        raise WrongFile(f"{path.name}: expected a file that ends in {endings}, got {suffix or 'no ending'!r}{reason}")
    with path.open("rb") as file:
        head = file.read(64)
    as_torch = is_zip(head) or (suffix in TORCH and not is_safetensors(head))
    contents = _read_torch(path) if as_torch else _read_safetensors(path)
    if not contents.tensors:
        raise WrongFile(f"{path.name}: the file holds no tensors; it is not a model")
    if (total := sum(tensor.numel() for tensor in contents.tensors.values())) > MOST_NUMBERS:
        raise WrongFile(f"{path.name}: expected a model of at most {MOST_NUMBERS:,} weights, got {total:,}")
    return contents


def files_of(folder: Path) -> list[Path]:
    """Weight files of a folder as diffusers writes it: one file, or all shards of it; full precision is preferred to `fp16`.

    Raises WrongFile where there are none, or where a shard is missing.
    """
    for place in (folder / name for name in FOLDERS):
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
        raise WrongFile(
            f"{shards[0].parent.name}: expected {expected} parts of weights, got {len(shards)}; download the missing ones"
        )
    return shards


def size_of(path: Path) -> int:
    """Size in bytes of a file, or of the weight files in a folder."""
    return sum(file.stat().st_size for file in (files_of(path) if path.is_dir() else [path]))


def _read_folder(folder: Path) -> FileContents:
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    files = files_of(folder)
    inner = files[0].parent.name if files[0].parent != folder else ""
    notes = [f"averaged weights (the folder {inner})"] if words(inner) & {"ema"} else []
    for file in files:
        contents = read_file(file)
        tensors |= contents.tensors
        metadata |= contents.metadata
        notes += contents.notes
    return FileContents(tensors, metadata, tuple(dict.fromkeys(notes)))


def _read_safetensors(path: Path) -> FileContents:
    try:
        with safe_open(path, framework="pt") as file:
            tensors, header = {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WrongFile(f"{path.name}: expected a safetensors file, but it cannot be read{_why(path, error)}") from error
    with in_file(path.name):
        cleaned = clean_weights(tensors)
    return FileContents(cleaned.tensors, header, cleaned.notes)


def _why(path: Path, error: Exception) -> str:
    """Reason why a file cannot be read: the diagnosis, else the reader's message."""
    if found := diagnose(path):
        return f": {found}."
    return f" ({_first_line(error)}). It is truncated, corrupt or of another kind; download it again and compare its size."


def _read_torch(path: Path) -> FileContents:
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        raise ValueError(
            f"{path.name}: torch {torch.__version__} cannot read torch checkpoints safely (CVE-2025-32434); "
            "use the .safetensors version of this model, or torch 2.6 or later"
        )
    if is_archive(path):
        _check_archive(path)
    content, objects = _content(path)
    with in_file(path.name):
        unpacked = unpack(content)
    notes = (f"left out: objects of training ({', '.join(objects[:3])})",) if objects else ()
    return FileContents(unpacked.tensors, unpacked.header, (*unpacked.notes, *notes))


def _content(path: Path) -> tuple[Any, tuple[str, ...]]:
    """Contents of a file by torch's weights-only reader, and the names of training's objects in it, which are not loaded."""
    objects: tuple[str, ...] = ()
    try:
        return _weights_only(path), ()
    except MemoryError:
        raise
    except Exception as error:
        objects = left_objects(path) if refused(error) and is_archive(path) else ()
        if not objects or not all(of_training(name) for name in objects):
            raise _unreadable(path, error, objects) from error
    try:
        with stand_ins(objects):
            return _weights_only(path), objects
    except MemoryError:
        raise
    except Exception as error:
        raise _unreadable(path, error, objects) from error


def _weights_only(path: Path) -> Any:
    return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive(path))


def _unreadable(path: Path, error: Exception, objects: tuple[str, ...]) -> WrongFile:
    """The error to raise for an error of torch's reader, where a corrupt file may fail anywhere; no code of ours runs there."""
    if not refused(error):
        return WrongFile(f"{path.name}: expected a torch checkpoint, but it cannot be read{_why(path, error)}")
    found = ", ".join(name for name in objects if not of_training(name)) or _first_line(error)
    reason = diagnose(path)
    return WrongFile(
        f"{path.name}: {reason}."
        if reason
        else f"{path.name}: the file is not a plain torch checkpoint: it holds code or objects besides tensors, which Zoetrope "
        f"never runs, or it is corrupt ({found}). Use the .safetensors version of this model, "
        "or convert it with a tool you trust."
    )


def _check_archive(path: Path) -> None:
    """Raises WrongFile for a zip bomb: torch stores tensors uncompressed, so its archives never unpack to a larger size."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        return  # torch's reader raises the error
    if unpacked > path.stat().st_size:
        raise WrongFile(
            f"{path.name}: the archive would unpack to {unpacked:,} bytes, more than the file's {path.stat().st_size:,}; "
            "torch does not write such files. Do not use it; download the model again from a source you trust."
        )


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
