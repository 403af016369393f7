"""Reports about motion files, as text (`text`) and as data (`as_dict`)."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..backbones.unet import Site
from ..formats.checkpoint import files_of
from .family import Variant


@dataclass(frozen=True)
class Report:
    """Family, member, contents and size of a motion file."""

    file: str
    size_bytes: int
    family: str
    title: str
    spelling: str
    """Name of the spelling of the file's keys."""
    variant: Variant
    dtypes: tuple[str, ...]
    """Dtypes of the temporal layers."""
    parameters: int
    """Number of weights in the temporal layers."""
    keys: int
    """Number of keys in the whole file; loading is strict, so none is missing and none unexpected."""
    parts: Mapping[str, int]
    """Other networks in the file: part -> number of keys."""
    widths: Mapping[Site, int]
    """Sites of the temporal layers, with their widths in channels."""
    fits: tuple[str, ...]
    """Names of the base models that it was made for and that have all sites in these widths."""
    notes: tuple[str, ...] = ()
    """How the weights were found in the file: averaged ones used, leftovers of training ignored."""

    @property
    def name(self) -> str:
        """Common name of the model: `AnimateDiff v3`, `VideoCrafter2 T2V 512`."""
        named = any(self.variant.name.startswith(word) for word in self.title.split())
        return self.variant.name if named else f"{self.title} {self.variant.name}"

    @property
    def lacks(self) -> tuple[str, ...]:
        """Parts that a whole video checkpoint lacks, to be loaded from another file: `CLIP`, `VAE`."""
        required = (("text", "CLIP"), ("vae", "VAE")) if "unet" in self.parts else ()
        return tuple(name for part, name in required if part not in self.parts)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return {**asdict(self), "missing_keys": 0, "unexpected_keys": 0}

    def text(self) -> str:
        """The report as lines of text."""
        variant = self.variant
        lines = [
            f"{self.file} ({self.size_bytes / 2**20:,.1f} MiB, {self.keys} keys, none missing, none unexpected)",
            f"family      {self.name}, {self.spelling} spelling",
            f"fits        {', '.join(self.fits) or 'no Stable Diffusion UNet at full size'}",
            f"frames      trained on {variant.frames}, at most {variant.max_frames or 'any number'}",
            f"schedule    {_schedule(variant)}",
            f"sites       {_sites(self.widths)}",
            f"layers      {len(self.widths)} at widths {', '.join(map(str, sorted(set(self.widths.values()))))}",
            f"weights     {self.parameters / 1e6:,.1f} M in {', '.join(self.dtypes)}",
        ]
        if variant.fps is not None:
            lines.append(f"frame rate  {variant.fps:g} unless set otherwise")
        if variant.clip_norms:
            lines.append(f"norms       {', '.join(variant.clip_norms)} of the image UNet average over the whole clip")
        if self.parts:
            lines.append(f"also holds  {', '.join(f'{part} ({count} keys)' for part, count in sorted(self.parts.items()))}")
        if lacks := self.lacks:
            base = " or ".join(self.fits) or "its kind"
            lines.append(f"lacks       {' and '.join(lacks)}; connect those of a checkpoint of {base}")
        lines += [f"read        {line}" for line in self.notes]
        return "\n".join(lines + [f"note        {note}" for note in variant.notes])


def _sites(widths: Mapping[Site, int]) -> str:
    """Kinds of sites with their counts: `out 20`, `resnet 22, attention 16, time 1`."""
    kinds = [site.rpartition(".")[2] for site in widths]
    return ", ".join(f"{kind} {kinds.count(kind)}" for kind in dict.fromkeys(kinds))


def _schedule(variant: Variant) -> str:
    schedule = variant.schedule
    if schedule is None:
        return "that of the image model"
    text = f"{schedule.curve}-linear {schedule.start:g}..{schedule.end:g}"
    text += ", zero terminal SNR" if schedule.zero_terminal else ""
    text += f", {variant.prediction}-prediction" if variant.prediction else ""
    return text + (f", clean latents scaled 1..{variant.scale.end:g}" if variant.scale else "")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes; for a folder, of the weight files in it that are loaded."""
    path = Path(path)
    files = files_of(path) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for each in files:
        with each.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()
