"""What one published design of temporal layers is, as data: how to know its files, spell its keys, build its layers."""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from .sites import Site
from .temporal import Scope, TemporalLayer

Shapes = Mapping[str, tuple[int, ...]]
"""Key -> shape, all that detection and building may look at besides the file's metadata."""

Metadata = Mapping[str, str]
"""The text table of a safetensors header; empty for other containers."""


@dataclass(frozen=True)
class NoiseSchedule:
    """The betas a family was trained with: linear in beta, or linear in its root (diffusers' `scaled_linear`).

    The worlds swap the names: AnimateDiff's "linear" is ComfyUI's `sqrt_linear`, Stable Diffusion's `scaled_linear` is
    ComfyUI's `linear`. Here the curve is named by what is linear.
    """

    curve: str
    """`beta` or `root`."""
    start: float
    end: float
    steps: int


@dataclass(frozen=True)
class Variant:
    """One member of a family, read off a file's shapes."""

    name: str
    frames: int
    """Frames of the clips it was trained on."""
    max_frames: int | None
    """The longest clip its positions can tell apart; None where nothing ends."""
    schedule: NoiseSchedule | None
    """None: the schedule of the image model."""
    spatial_norms: Scope
    """What the image UNet's own norms average over when this module is at work."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One line of a key table: the published spelling and ours, with `{}` for each number they share, in order."""

    published: str
    ours: str

    def __post_init__(self) -> None:
        if self.published.count("{}") != self.ours.count("{}"):
            raise ValueError(f"a row needs as many {{}} on both sides, got {self.published!r} and {self.ours!r}")


@dataclass(frozen=True)
class KeyTable:
    """Places x parameters: a key is one row of the first table followed by one row of the second."""

    places: tuple[Row, ...]
    parameters: tuple[Row, ...]

    @cached_property
    def _rows(self) -> list[Row]:
        return [Row(p.published + q.published, p.ours + q.ours) for p in self.places for q in self.parameters]

    @cached_property
    def _to_ours(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(row.published), row.ours) for row in self._rows]

    @cached_property
    def _to_published(self) -> list[tuple[re.Pattern[str], str]]:
        return [(_pattern(row.ours), row.published) for row in self._rows]

    def ours(self, published: str) -> str | None:
        """Our spelling of a published key; None where the table has no row for it."""
        return _translate(published, self._to_ours)

    def published(self, ours: str) -> str | None:
        """The published spelling of one of our keys; None where the table has no row for it."""
        return _translate(ours, self._to_published)


def _pattern(spelling: str) -> re.Pattern[str]:
    return re.compile(re.escape(spelling).replace(r"\{\}", r"(\d+)"))


def _translate(key: str, rows: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, spelling in rows:
        if match := pattern.fullmatch(key):
            return spelling.format(*match.groups())
    return None


@dataclass(frozen=True)
class Family:
    """One published design. A family is a file in `families/`, never a branch elsewhere."""

    name: str
    title: str
    """How people call it."""
    marks: tuple[str, ...]
    """Published spellings, `{}` for numbers; a file is of this family when each occurs among its keys."""
    strangers: tuple[str, ...]
    """Published spellings whose presence says that it is a relative, not this family."""
    key_table: KeyTable
    variant: Callable[[Shapes, Metadata], Variant]
    """Reads the member off the shapes, spelled our way."""
    build: Callable[[Shapes, Metadata, Any], dict[Site, TemporalLayer]]
    """Makes empty layers for these shapes (spelled our way) out of the leaf layers in `ops`."""

    def knows(self, keys: Collection[str]) -> bool:
        """Whether a file with these published keys is of this family."""
        return all(_occurs(mark, keys) for mark in self.marks) and not any(_occurs(s, keys) for s in self.strangers)


def _occurs(spelling: str, keys: Collection[str]) -> bool:
    pattern = _pattern(spelling)
    return any(pattern.fullmatch(key) for key in keys)
