"""What any published design that comes in files is, as data: how to know its files and how to spell its keys."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from torch import Tensor

from .keytable import KeyTable, compiled

Shapes = Mapping[str, tuple[int, ...]]
"""Key -> shape."""


Metadata = Mapping[str, str]
"""The text table of a safetensors header; empty for other containers."""


@dataclass(frozen=True)
class Contents:
    """What a file holds, spelled our way."""

    weights: Shapes
    """Those of the network itself."""
    parts: Mapping[str, Shapes]
    """Everything else, by part: `unet`, `text`, `vae`, `vision`, `image`, `buffer`, ..."""
    buffers: Mapping[str, Tensor]
    """Values of the part `buffer`: schedules that some training codes store. May be without storage (meta)."""
    metadata: Metadata


@dataclass(frozen=True)
class Spelling:
    """One way in which files of a family are spelled: the authors', a library's, a converter's."""

    name: str
    marks: tuple[str, ...]
    """Published spellings, `{}` for numbers; a file is spelled so when each occurs among its keys, after any common prefix."""
    foreign: tuple[str, ...]
    """Published spellings whose presence says that it is a relative, not this."""
    table: Callable[[Shapes, str], KeyTable]
    """(published keys and shapes, prefix before the marks) -> the table for a file with these keys."""

    def matches(self, keys: Collection[str]) -> bool:
        return all(_occurs(mark, keys) for mark in self.marks) and not any(_occurs(s, keys) for s in self.foreign)

    def prefix(self, keys: Collection[str]) -> str:
        """What stands before the marks, usually nothing."""
        pattern = compiled("{*}" + self.marks[0])
        return next(match.group(1) for key in keys if (match := pattern.fullmatch(key)) and _whole(match.group(1)))


@dataclass(frozen=True)
class Published:
    """One published design, of motion modules or of anything else that comes in files."""

    name: str
    title: str
    """How people call it."""
    spellings: tuple[Spelling, ...]

    def spelling(self, keys: Collection[str]) -> Spelling | None:
        """How a file with these published keys is spelled; None where it is not of this family."""
        return next((spelling for spelling in self.spellings if spelling.matches(keys)), None)


def _occurs(mark: str, keys: Collection[str]) -> bool:
    pattern = compiled("{*}" + mark)
    return any((match := pattern.fullmatch(key)) and _whole(match.group(1)) for key in keys)


def _whole(prefix: str) -> bool:
    return not prefix or prefix.endswith(".")
