"""From tensors to a motion module: find the family by keys, rename by its table, build, fill; strict at every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..backbones.unet import fitting
from ..formats.checkpoint import read_tensors, size_of
from ..formats.published import Metadata
from ..formats.recognise import kind_of
from ..formats.strict import check_finite, compare, rename, some, table_of
from .families import FAMILIES, detect
from .families.animatediff.lora import is_motion_lora
from .family import Contents, Family, Variant
from .module import MotionModule
from .report import Report

Parts = Mapping[str, Mapping[str, Tensor]]
"""What a file holds besides temporal layers: part (`unet`, `text`, `vae`, `vision`, `image`, `buffer`) -> key -> tensor."""


@dataclass(frozen=True)
class Opened:
    """A file, taken apart."""

    motion: MotionModule
    report: Report
    parts: Parts


def load_motion(path: str | Path, ops: Any = nn) -> tuple[MotionModule, Report]:
    """Reads the temporal layers of any known family, out of whatever else the file holds.

    ops   namespace of the leaf layers: `torch.nn`, or the host's own
    Weights keep the file's dtype, are on the CPU and need no gradient. Raises ValueError, naming file and remedy.
    """
    opened = open_file(path, ops)
    return opened.motion, opened.report


def open_file(path: str | Path, ops: Any = nn) -> Opened:
    """As `load_motion`, with the other parts of the file. path: a file, or a folder as diffusers writes them."""
    path = Path(path)
    tensors, metadata = read_tensors(path)
    try:
        return take_apart(tensors, metadata, path.name, size_of(path), ops)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def motion_from(
    tensors: Mapping[str, Tensor], metadata: Metadata, file: str, size_bytes: int, ops: Any = nn
) -> tuple[MotionModule, Report]:
    """Makes a motion module of tensors in any published spelling."""
    opened = take_apart(tensors, metadata, file, size_bytes, ops)
    return opened.motion, opened.report


def take_apart(tensors: Mapping[str, Tensor], metadata: Metadata, file: str, size_bytes: int, ops: Any = nn) -> Opened:
    """Finds out what tensors are, and sorts them into a motion module and other parts."""
    family = detect(tensors)
    if family is None:
        raise ValueError(_unknown(tensors))
    spelling, table = table_of(family, tensors)
    ours, parts = _sorted(rename(family, table, tensors))
    contents = Contents(
        motion={key: tuple(value.shape) for key, value in ours.items()},
        parts={part: {key: tuple(value.shape) for key, value in held.items()} for part, held in parts.items()},
        buffers=parts.get("buffer", {}),
        metadata=metadata,
    )
    plan, variant = _build(family, contents, nn)
    compare(plan, ours, family, table)
    check_finite(ours, family, table)
    motion, _ = _build(family, contents, ops)
    motion.load_state_dict(ours, strict=True, assign=True)
    motion.requires_grad_(False).eval()
    report = Report(
        file=file,
        size_bytes=size_bytes,
        family=family.name,
        title=family.title,
        spelling=spelling,
        variant=variant,
        dtypes=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in ours.values()})),
        parameters=sum(tensor.numel() for tensor in ours.values()),
        keys=len(tensors),
        parts={part: len(held) for part, held in parts.items()},
        widths=motion.widths,
        fits=tuple(name for name in fitting(motion.widths) if not variant.bases or name in variant.bases),
    )
    return Opened(motion, report, parts)


def _sorted(ours: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    motion: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in ours.items():
        part, colon, name = key.partition(":")
        if colon:
            parts.setdefault(part, {})[name] = value
        else:
            motion[key] = value
    return motion, parts


def _build(family: Family, contents: Contents, ops: Any) -> tuple[MotionModule, Variant]:
    try:
        variant = family.variant(contents)
        with torch.device("meta"):  # the file's tensors become the weights: nothing is allocated or initialised twice
            layers = family.build(contents, ops)
            module = MotionModule(layers, variant.max_frames, variant.clip_norms, variant.fps, variant.sparse_causal)
            return module, variant
    except (LookupError, ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise ValueError(
            f"this looks like {family.title}, but its tensors do not make a whole module ({error}); download the file again"
        ) from error


def _unknown(tensors: Mapping[str, Tensor]) -> str:
    if is_motion_lora(tensors):
        return "this is a LoRA for a motion module; load the motion module here, and this with Apply Motion LoRA"
    if kind := kind_of(tensors):
        return f"this is no motion module but {kind.name}: {kind.place}. Pick another file."
    titles = ", ".join(family.title for family in FAMILIES)
    got = some(sorted(tensors))
    return f"this is no motion module that Zoetrope knows. Expected keys of {titles}; got {got}. Pick another file."
