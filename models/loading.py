"""From tensors to a motion module: find the family by keys, rename by its table, build, fill; strict at every step."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import read_tensors
from .families import FAMILIES, detect
from .family import Family, Metadata, Variant
from .motion import MotionModule
from .sites import Site, fitting


@dataclass(frozen=True)
class Report:
    """What a motion file turned out to be, for people (`text`) and programs (`as_dict`)."""

    file: str
    size_bytes: int
    family: str
    title: str
    variant: Variant
    dtypes: tuple[str, ...]
    parameters: int
    widths: Mapping[Site, int]
    fits: tuple[str, ...]
    """Names of the base models that have all sites in these widths."""

    def as_dict(self) -> dict[str, Any]:
        """Plain data, ready for JSON."""
        return asdict(self)

    def text(self) -> str:
        """A few readable lines."""
        variant = self.variant
        schedule = variant.schedule
        betas = f"{schedule.curve}-linear {schedule.start}..{schedule.end}" if schedule else "that of the image model"
        lines = [
            f"{self.file} ({self.size_bytes / 2**20:,.1f} MiB)",
            f"family      {self.title} {variant.name}",
            f"fits        {', '.join(self.fits) or 'no Stable Diffusion UNet at full size'}",
            f"frames      trained on {variant.frames}, at most {variant.max_frames or 'any number'}",
            f"schedule    {betas}",
            f"layers      {len(self.widths)} at widths {', '.join(map(str, sorted(set(self.widths.values()))))}",
            f"weights     {self.parameters / 1e6:,.1f} M in {', '.join(self.dtypes)}",
        ]
        return "\n".join(lines + [f"note        {note}" for note in variant.notes])


def load_motion(path: str | Path, ops: Any = nn) -> tuple[MotionModule, Report]:
    """Reads a motion module of any known family.

    ops   namespace of the leaf layers: `torch.nn`, or the host's own
    Weights keep the file's dtype, are on the CPU and need no gradient. Raises ValueError, naming file and remedy.
    """
    path = Path(path)
    tensors, metadata = read_tensors(path)
    try:
        return motion_from(tensors, metadata, path.name, path.stat().st_size, ops)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


def motion_from(
    tensors: Mapping[str, Tensor], metadata: Metadata, file: str, size_bytes: int, ops: Any = nn
) -> tuple[MotionModule, Report]:
    """Makes a motion module of tensors in any published spelling."""
    family = detect(tensors)
    if family is None:
        raise ValueError(_unknown(tensors))
    ours = rename(family, tensors)
    shapes = {key: tuple(tensor.shape) for key, tensor in ours.items()}
    plan, variant = _build(family, shapes, metadata, nn)
    _compare(plan, ours, family)
    motion, _ = _build(family, shapes, metadata, ops)
    motion.load_state_dict(ours, strict=True, assign=True)
    motion.requires_grad_(False).eval()
    report = Report(
        file=file,
        size_bytes=size_bytes,
        family=family.name,
        title=family.title,
        variant=variant,
        dtypes=tuple(sorted({str(tensor.dtype).removeprefix("torch.") for tensor in ours.values()})),
        parameters=sum(tensor.numel() for tensor in ours.values()),
        widths=motion.widths,
        fits=tuple(fitting(motion.widths)),
    )
    return motion, report


def rename(family: Family, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, spelled our way. Raises ValueError on keys for which the family's table has no row."""
    ours = {key: family.key_table.ours(key) for key in tensors}
    unexpected = [key for key, name in ours.items() if name is None]
    if unexpected:
        raise ValueError(f"this looks like {family.title}, but has keys that {family.title} does not have: {_some(unexpected)}")
    return {name: tensors[key] for key, name in ours.items() if name is not None}


def _build(family: Family, shapes: Mapping[str, tuple[int, ...]], metadata: Metadata, ops: Any) -> tuple[MotionModule, Variant]:
    try:
        variant = family.variant(shapes, metadata)
        with torch.device("meta"):  # the file's tensors become the weights: nothing is allocated or initialised twice
            return MotionModule(family.build(shapes, metadata, ops), variant.max_frames), variant
    except (LookupError, ValueError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"this looks like {family.title}, but its tensors do not make a whole module ({error}); download the file again"
        ) from error


def _compare(plan: MotionModule, tensors: Mapping[str, Tensor], family: Family) -> None:
    """Refuses tensors that are not exactly the plan's. The plan is built of torch's layers: a host's may have no shapes yet."""
    expected = {key: tuple(value.shape) for key, value in plan.state_dict().items()}
    published = family.key_table.published
    missing = [published(key) or key for key in expected if key not in tensors]
    unexpected = [published(key) or key for key in tensors if key not in expected]
    wrong = [
        f"{published(key)}: expected {list(shape)}, got {list(tensors[key].shape)}"
        for key, shape in expected.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    for what, keys in (("lacks keys", missing), ("has keys it should not", unexpected), ("has wrong shapes", wrong)):
        if keys:
            raise ValueError(f"this looks like {family.title}, but {what}: {_some(keys)}. Download the file again.")


def _unknown(keys: Iterable[str]) -> str:
    titles = ", ".join(family.title for family in FAMILIES)
    got = _some(sorted(keys))
    return f"this is no motion module that Zoetrope knows. Expected keys of {titles}; got {got}. Pick another file."


def _some(lines: Iterable[str], most: int = 4) -> str:
    lines = list(lines)
    rest = f" and {len(lines) - most} more" if len(lines) > most else ""
    return ", ".join(lines[:most]) + rest
