"""Key lists of published checkpoints: full size, no weights. They travel with the code in `tests/formats/key_lists.tar.xz`.

A list that is not in the archive yet is looked for in `shared/formats` beside the checkout; `tools/pack_formats.py` packs it.
"""

import json
from functools import cache
from typing import Any

import golden
import pack_formats
import torch
from torch import Tensor

FOLDER = golden.ROOT.parent / "shared" / "formats"


def names() -> list[str]:
    """Names of all key lists at hand; the collection also has tables from one spelling to another."""
    return sorted(name for name in {*packed(), *(path.stem for path in FOLDER.glob("*.json"))} if "keys" in record(name))


def published(name: str) -> dict[str, Tensor]:
    """Tensors without storage, spelled and shaped as the published file's."""
    keys = record(name)["keys"]
    return {key: torch.empty(shape, dtype=_dtype(dtype), device="meta") for key, (shape, dtype) in keys.items()}


def record(name: str) -> dict[str, Any]:
    """The whole list of this name. Each caller gets a copy of its own."""
    beside = FOLDER / f"{name}.json"
    if name in packed():
        return json.loads(packed()[name])
    if beside.is_file():
        return json.loads(beside.read_text())
    raise LookupError(f"no key list {name!r} in {pack_formats.ARCHIVE} or {FOLDER}; add it with tools/pack_formats.py")


@cache
def packed() -> dict[str, bytes]:
    """The lists of the archive, read once per process."""
    return pack_formats.unpack()


def _dtype(name: str) -> torch.dtype:
    return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}.get(name) or getattr(
        torch, name
    )
