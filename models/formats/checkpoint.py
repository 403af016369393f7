"""From a file or folder to tensors: safetensors, or torch files through weights-only loading. Refusals name file and remedy.

What a file is, is told by its first bytes; its ending only says whether it is looked at at all.
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
"""No model of these kinds has a quarter as many weights; a small file can claim more than any memory holds."""
FOLDER_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model", "adapter_model", "pytorch_lora_weights")
"""What diffusers, accelerate and PEFT call the weights in a folder; shards and half-precision variants add to it."""
FOLDERS = ("", "unet_ema", "unet", "motion_adapter")
"""Where they are in it; averaged weights, which its training scripts write beside the others, come first."""


@dataclass(frozen=True)
class FileContents:
    """What a file or folder holds."""

    tensors: Mapping[str, Tensor]
    """On the CPU, spelled as the file spells them, without wrappers' names and what training left."""
    metadata: Metadata
    """The text header of safetensors, or texts and numbers beside the weights of a torch file."""
    notes: tuple[str, ...]
    """What was done to find the weights, for people; empty where the file holds nothing else."""


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], Metadata]:
    """All weights of a file or folder, and its text header; as `read_file`, which also says how it was read."""
    held = read_file(path)
    return dict(held.tensors), held.metadata


def read_file(path: str | Path) -> FileContents:
    """All weights of a file, averaged ones (EMA) where it has both.

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
    if suffix not in SAFETENSORS | TORCH:
        known = ", ".join(sorted(SAFETENSORS | TORCH))
        what = f"; {why}" if (why := diagnose(path)) else ""
        raise WrongFile(f"{path.name}: expected a file that ends in {known}, got {suffix or 'no ending'!r}{what}")
    with path.open("rb") as file:
        head = file.read(64)
    as_torch = is_zip(head) or (suffix in TORCH and not is_safetensors(head))
    held = _read_torch(path) if as_torch else _read_safetensors(path)
    if not held.tensors:
        raise WrongFile(f"{path.name}: the file holds no tensors; it is not a model")
    if (total := sum(tensor.numel() for tensor in held.tensors.values())) > MOST_NUMBERS:
        raise WrongFile(f"{path.name}: expected a model of at most {MOST_NUMBERS:,} weights, the file claims {total:,}")
    return held


def files_of(folder: Path) -> list[Path]:
    """The weight files of a folder that diffusers wrote, all shards of one set; full precision before `fp16`."""
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
        raise WrongFile(f"{shards[0].parent.name}: expected {expected} parts of weights, got {len(shards)}; download the rest")
    return shards


def size_of(path: Path) -> int:
    """Bytes of a file, or of the weights in a folder."""
    return sum(file.stat().st_size for file in (files_of(path) if path.is_dir() else [path]))


def _read_folder(folder: Path) -> FileContents:
    tensors: dict[str, Tensor] = {}
    metadata: dict[str, str] = {}
    files = files_of(folder)
    inner = files[0].parent.name if files[0].parent != folder else ""
    notes = [f"averaged weights (the folder {inner})"] if words(inner) & {"ema"} else []
    for file in files:
        held = read_file(file)
        tensors |= held.tensors
        metadata |= held.metadata
        notes += held.notes
    return FileContents(tensors, metadata, tuple(dict.fromkeys(notes)))


def _read_safetensors(path: Path) -> FileContents:
    try:
        with safe_open(path, framework="pt") as file:
            tensors, header = {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise WrongFile(f"{path.name}: expected a safetensors file, but it cannot be read{_why(path, error)}") from error
    with in_file(path.name):
        settled = clean_weights(tensors)
    return FileContents(settled.tensors, header, settled.notes)


def _why(path: Path, error: Exception) -> str:
    """What is seen of a file that cannot be read, else the reader's own words."""
    if seen := diagnose(path):
        return f": {seen}."
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
    """What torch's weights-only reader makes of a file, and names of objects that training left in it, which are left out."""
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
    """The error to raise for one of torch's reader, where a corrupt file may fail anywhere; no code of ours runs in it."""
    if not refused(error):
        return WrongFile(f"{path.name}: expected a torch checkpoint, but it cannot be read{_why(path, error)}")
    found = ", ".join(name for name in objects if not of_training(name)) or _first_line(error)
    seen = diagnose(path)
    return WrongFile(
        f"{path.name}: {seen}."
        if seen
        else f"{path.name}: the file is no plain torch checkpoint; it holds code or objects besides tensors, and Zoetrope "
        f"never runs what a file brings, or it is corrupt ({found}). Use the .safetensors version of this model, "
        "or convert it with a tool you trust."
    )


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


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
