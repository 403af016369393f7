"""What a file says about itself: shapes and numbers that raise `WrongFile` where they are missing or cannot be.

Families read files through these, so that only a file's own fault is told as one; any other error in their code comes through.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ..errors import WrongFile


class Shape(tuple[int, ...]):
    """Sizes of a tensor's axes. Raises WrongFile for an axis that it has not."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int) and not -len(self) <= index < len(self):
            raise WrongFile(f"expected a tensor with more axes, got shape {list(self)}")
        return super().__getitem__(index)


class FileShapes(dict[str, Shape]):
    """Key -> shape. Raises WrongFile for a key that is missing."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "FileShapes":
        return cls({key: Shape(value.shape) for key, value in tensors.items()})

    def __missing__(self, key: str) -> Shape:
        raise WrongFile(f"{key} is missing")


def under(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> FileShapes:
    """The shapes whose keys begin so, without that beginning."""
    return FileShapes({key.removeprefix(prefix): Shape(shape) for key, shape in shapes.items() if key.startswith(prefix)})


def axes(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """A shape of so many axes, to be unpacked. Raises WrongFile for one of others."""
    if len(shape) != count:
        raise WrongFile(f"expected a tensor of {count} axes, got shape {list(shape)}")
    return shape


def largest(values: Iterable[int], what: str) -> int:
    """The largest of them. Raises WrongFile where there is none."""
    if not (values := list(values)):
        raise WrongFile(f"{what} are missing")
    return max(values)


def smallest(values: Iterable[int], what: str) -> int:
    """The smallest of them. Raises WrongFile where there is none."""
    return -largest((-value for value in values), what)


def shared(whole: int, parts: int) -> int:
    """How much of `whole` each of the parts has. Raises WrongFile where there is no part."""
    if parts < 1:
        raise WrongFile(f"expected {whole} channels in one or more parts, got {parts}")
    return whole // parts


def header_number(metadata: Mapping[str, str], name: str, usual: int) -> int:
    """A whole number above 0 in a file's header, or the usual one. Raises WrongFile for anything else."""
    text = metadata.get(name)
    if text is None:
        return usual
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise WrongFile(f"its header says {name}: {text[:40]!r}, expected a whole number above 0")
    return int(text)
