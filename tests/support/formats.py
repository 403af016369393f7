"""Key lists of published checkpoints (`shared/formats`, beside the checkout where it stands): full size, no weights."""

import json
from pathlib import Path
from typing import Any

import golden
import pytest
import torch
from torch import Tensor

FOLDER = golden.ROOT.parent / "shared" / "formats"


def names() -> list[str]:
    """Of all key lists at hand."""
    return sorted(path.stem for path in FOLDER.glob("*.json") if "keys" in record(path.stem))


def published(name: str) -> dict[str, Tensor]:
    """Tensors without storage, spelled and shaped as the published file's. Skips aloud where the list is not at hand."""
    keys = record(name)["keys"]
    return {key: torch.empty(shape, dtype=_dtype(dtype), device="meta") for key, (shape, dtype) in keys.items()}


def record(name: str) -> dict[str, Any]:
    """A whole file of the folder. Skips aloud where it is not at hand."""
    path: Path = FOLDER / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"no key list of {name} here: shared/formats is not beside the checkout")
    return json.loads(path.read_text())


def _dtype(name: str) -> torch.dtype:
    return {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64}.get(name) or getattr(
        torch, name
    )
