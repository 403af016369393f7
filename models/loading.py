"""From tensors to a motion module: find the family by keys, rename by its table, build, fill; strict at every step."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import read_tensors, size_of
from .families import FAMILIES, detect
from .family import Contents, Family, Metadata, Variant
from .keytable import KeyTable
from .kinds import kind_of
from .lora import is_motion_lora
from .motion import MotionModule
from .report import Report
from .sites import fitting

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
    _compare(plan, ours, family, table)
    _check_finite(ours, family, table)
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


def table_of(family: Family, tensors: Mapping[str, Tensor]) -> tuple[str, KeyTable]:
    """The name of the spelling of a file with these keys, and the table for it."""
    shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    spelling = family.spelling(shapes)
    assert spelling, f"{family.name} does not know these keys"
    try:
        return spelling.name, spelling.table(shapes, spelling.prefix(shapes))
    except (LookupError, ValueError) as error:
        raise ValueError(f"this looks like {family.title}, but is not whole ({error}); download the file again") from error


def rename(family: Family, table: KeyTable, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, spelled our way. Raises ValueError on keys for which the family's table has no row."""
    try:
        ours, unexpected = table.rename(tensors)
    except ValueError as error:
        raise ValueError(f"this looks like {family.title}, but {error}. Download the file again.") from error
    if unexpected:
        raise ValueError(f"this looks like {family.title}, but has keys that {family.title} does not have: {some(unexpected)}")
    return ours


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
            return MotionModule(layers, variant.max_frames, variant.clip_norms, variant.fps), variant
    except (LookupError, ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        raise ValueError(
            f"this looks like {family.title}, but its tensors do not make a whole module ({error}); download the file again"
        ) from error


def _compare(plan: MotionModule, tensors: Mapping[str, Tensor], family: Family, table: KeyTable) -> None:
    """Refuses tensors that are not exactly the plan's. The plan is built of torch's layers: a host's may have no shapes yet."""
    expected = {key: tuple(value.shape) for key, value in plan.state_dict().items()}
    published = table.published
    missing = [published(key) or key for key in expected if key not in tensors]
    unexpected = [published(key) or key for key in tensors if key not in expected]
    wrong = [
        f"{published(key)}: expected {list(shape)}, got {list(tensors[key].shape)}"
        for key, shape in expected.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    for what, keys in (("lacks keys", missing), ("has keys it should not", unexpected), ("has wrong shapes", wrong)):
        if keys:
            raise ValueError(f"this looks like {family.title}, but {what}: {some(keys)}. Download the file again.")


def _check_finite(tensors: Mapping[str, Tensor], family: Family, table: KeyTable) -> None:
    """A weight that is no number makes every frame black, long after anyone remembers the file."""
    broken = [
        table.published(key) or key
        for key, value in tensors.items()
        if value.device.type != "meta" and not bool(torch.isfinite(value).all())
    ]
    if broken:
        raise ValueError(
            f"this looks like {family.title}, but has infinite or undefined weights: {some(broken)}. Download the file again, "
            "or its full-precision version."
        )


def _unknown(tensors: Mapping[str, Tensor]) -> str:
    if is_motion_lora(tensors):
        return "this is a LoRA for a motion module; load the motion module here, and this with Apply Motion LoRA"
    if kind := kind_of(tensors):
        return f"this is no motion module but {kind.name}: {kind.place}. Pick another file."
    titles = ", ".join(family.title for family in FAMILIES)
    got = some(sorted(tensors))
    return f"this is no motion module that Zoetrope knows. Expected keys of {titles}; got {got}. Pick another file."


def some(lines: Iterable[str], most: int = 4) -> str:
    """The first few of many, for a message."""
    lines = list(lines)
    rest = f" and {len(lines) - most} more" if len(lines) > most else ""
    return ", ".join(lines[:most]) + rest
