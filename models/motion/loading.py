"""From tensors to a motion module: find the family by keys, rename by its table, build, fill; strict at every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..backbones.unet import fitting
from ..errors import WrongFile
from ..formats.checkpoint import read_tensors, size_of
from ..formats.published import Contents, Metadata
from ..formats.recognise import kind_of
from ..formats.strict import Parts, in_file, load_strict, some
from .families import FAMILIES, detect
from .families.animatediff.lora import is_motion_lora
from .family import Variant
from .module import MotionModule
from .report import Report


@dataclass(frozen=True)
class Opened:
    """A file, taken apart."""

    motion: MotionModule
    report: Report
    parts: Parts


def load_motion(path: str | Path, ops: Any = nn) -> tuple[MotionModule, Report]:
    """Reads the temporal layers of any known family, out of whatever else the file holds.

    ops   namespace of the leaf layers: `torch.nn`, or the host's own
    Weights keep the file's dtype, are on the CPU and need no gradient. Raises WrongFile, naming file and remedy.
    """
    opened = open_file(path, ops)
    return opened.motion, opened.report


def open_file(path: str | Path, ops: Any = nn) -> Opened:
    """As `load_motion`, with the other parts of the file. path: a file, or a folder as diffusers writes them."""
    path = Path(path)
    tensors, metadata = read_tensors(path)
    with in_file(path.name):
        return take_apart(tensors, metadata, path.name, size_of(path), ops)


def take_apart(tensors: Mapping[str, Tensor], metadata: Metadata, file: str, size_bytes: int, ops: Any = nn) -> Opened:
    """Finds out what tensors are, and sorts them into a motion module and other parts."""
    family = detect(tensors)
    if family is None:
        raise WrongFile(_unknown(tensors))
    variant: Variant | None = None

    def build(contents: Contents, ops: Any) -> MotionModule:
        nonlocal variant
        variant = variant or family.variant(contents)
        layers = family.build(contents, ops)
        return MotionModule(layers, variant.max_frames, variant.clip_norms, variant.fps, variant.sparse_causal)

    filled = load_strict(family, tensors, build, ops, metadata)
    motion, spelled = filled.network, filled.spelled
    assert variant
    report = Report(
        file=file,
        size_bytes=size_bytes,
        family=family.name,
        title=family.title,
        spelling=spelled.spelling,
        variant=variant,
        dtypes=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in spelled.weights.values()})),
        parameters=sum(tensor.numel() for tensor in spelled.weights.values()),
        keys=len(tensors),
        parts={part: len(held) for part, held in spelled.parts.items()},
        widths=motion.widths,
        fits=tuple(name for name in fitting(motion.widths) if not variant.bases or name in variant.bases),
    )
    return Opened(motion, report, spelled.parts)


def _unknown(tensors: Mapping[str, Tensor]) -> str:
    if is_motion_lora(tensors):
        return "this is a LoRA for a motion module; load the motion module here, and this with Apply Motion LoRA"
    if kind := kind_of(tensors):
        return f"this is no motion module but {kind.name}: {kind.place}. Pick another file."
    titles = ", ".join(family.title for family in FAMILIES)
    got = some(sorted(tensors))
    return f"this is no motion module that Zoetrope knows. Expected keys of {titles}; got {got}. Pick another file."
