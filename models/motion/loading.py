"""Loading of motion modules: detect the family by keys, rename by its table, build, fill; strict at every step."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..backbones.unet import fitting
from ..formats.checkpoint import read_file, size_of
from ..formats.leftovers import clean_weights, groups
from ..formats.published import Metadata
from ..formats.recognise import LoaderTarget, known
from ..formats.strict import Parts, as_wrong_file, contents_of, fill, in_file, spell
from .families import FAMILIES, detect
from .module import MotionModule
from .report import Report


@dataclass(frozen=True)
class OpenedFile:
    """Contents of a motion file: the motion module, its report, and the tensors of other networks."""

    motion: MotionModule
    report: Report
    parts: Parts


def load_motion(path: str | Path, ops: Any = nn) -> tuple[MotionModule, Report]:
    """Loads the temporal layers of any known family, also from files with other networks in them.

    ops   namespace of the leaf layers: `torch.nn`, or the host's own
    Weights have the file's dtype, are on the CPU and need no gradient. Raises WrongFile with the file's name and the remedy.
    """
    opened = open_file(path, ops)
    return opened.motion, opened.report


def open_file(path: str | Path, ops: Any = nn) -> OpenedFile:
    """As `load_motion`, with the other parts of the file. path: a file, or a folder as diffusers writes them."""
    path = Path(path)
    contents = read_file(path)
    with in_file(path.name):
        return take_apart(contents.tensors, contents.metadata, path.name, size_of(path), ops, contents.notes)


def take_apart(
    tensors: Mapping[str, Tensor], metadata: Metadata, file: str, size_bytes: int, ops: Any = nn, notes: tuple[str, ...] = ()
) -> OpenedFile:
    """Sorts the tensors of a file into a motion module and other parts, by their keys.

    notes   how the tensors were found in the file, for the report
    Raises WrongFile where they are not those of a motion module.
    """
    cleaned = clean_weights(tensors)
    family = known(cleaned.tensors, LoaderTarget("a motion module", FAMILIES, ("motion_module",)), detect)
    spelled = spell(family, cleaned.tensors)
    contents = contents_of(spelled, metadata)
    with as_wrong_file(family):
        variant = family.variant(contents)  # outside the meta device of `fill`, because it reads values
    left = (f"{len(spelled.left)} tensors of other networks are left out ({', '.join(groups(spelled.left))})",)

    def build(ops: Any) -> MotionModule:
        layers = family.build(contents, ops)
        return MotionModule(layers, variant.max_frames, variant.clip_norms, variant.fps, variant.sparse_causal)

    motion = fill(family, spelled.weights, spelled.table, build, ops)
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
        parts={part: len(values) for part, values in spelled.parts.items()},
        widths=motion.widths,
        fits=tuple(name for name in fitting(motion.widths) if not variant.bases or name in variant.bases),
        notes=(*notes, *cleaned.notes, *(left if spelled.left else ())),
    )
    return OpenedFile(motion, report, spelled.parts)
