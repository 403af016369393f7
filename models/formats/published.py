"""Published designs as data: how to recognise their files and rename their keys."""

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
    """Contents of a file, with keys in our spelling."""

    weights: Shapes
    """Shapes of the network itself."""
    parts: Mapping[str, Shapes]
    """Shapes of all other tensors by part: `unet`, `text`, `vae`, `vision`, `image`, `buffer`, ..."""
    buffers: Mapping[str, Tensor]
    """Tensors of the part `buffer`: schedules that some training scripts store. May be without storage (meta)."""
    metadata: Metadata
    """The file's header."""


@dataclass(frozen=True)
class Spelling:
    """One set of key names for the files of a family: the authors', a library's, a converter's."""

    name: str
    """Name in reports."""
    marks: tuple[str, ...]
    """Patterns of published keys, `{}` for numbers. Files of this spelling have a match for each, after any prefix."""
    foreign: tuple[str, ...]
    """Patterns of published keys that occur only in other designs."""
    table: Callable[[Shapes, str], KeyTable]
    """(published keys and shapes, prefix before the marks) -> the table for a file with these keys."""

    def matches(self, keys: Collection[str]) -> bool:
        """Whether a file with these keys has this spelling."""
        return all(_occurs(mark, keys) for mark in self.marks) and not any(_occurs(s, keys) for s in self.foreign)

    def prefix(self, keys: Collection[str]) -> str:
        """Prefix before the marks in these keys, usually empty."""
        pattern = compiled("{*}" + self.marks[0])
        return next(match.group(1) for key in keys if (match := pattern.fullmatch(key)) and _is_prefix(match.group(1)))


@dataclass(frozen=True)
class Published:
    """One published design, of motion modules or of anything else that comes in files."""

    name: str
    """Identifier in reports and code."""
    title: str
    """Name in messages."""
    spellings: tuple[Spelling, ...]

    def spelling(self, keys: Collection[str]) -> Spelling | None:
        """Spelling of a file with these published keys; None where it is not of this design."""
        return next((spelling for spelling in self.spellings if spelling.matches(keys)), None)


def _occurs(mark: str, keys: Collection[str]) -> bool:
    pattern = compiled("{*}" + mark)
    return any((match := pattern.fullmatch(key)) and _is_prefix(match.group(1)) for key in keys)


def _is_prefix(text: str) -> bool:
    return not text or text.endswith(".")
