"""Checked access to a file's shapes and header: `WrongFile` is raised for values that are missing or impossible.

Families read files through these, so that only errors in a file are reported as such; any other error in their code is raised
as it is.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from ..errors import WrongFile


class Shape(tuple[int, ...]):
    """Sizes of a tensor's axes. Raises WrongFile for an index beyond its axes."""

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int) and not -len(self) <= index < len(self):
            raise WrongFile(f"expected a tensor with more axes, got shape {list(self)}")
        return super().__getitem__(index)


class FileShapes(dict[str, Shape]):
    """Key -> shape. Raises WrongFile for a key that is missing."""

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> "FileShapes":
        """Shapes of these tensors."""
        return cls({key: Shape(value.shape) for key, value in tensors.items()})

    def __missing__(self, key: str) -> Shape:
        raise WrongFile(f"{key} is missing")


def under(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> FileShapes:
    """Shapes of the keys with this prefix, without it."""
    return FileShapes({key.removeprefix(prefix): Shape(shape) for key, shape in shapes.items() if key.startswith(prefix)})


def axes(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """The shape itself, to be unpacked. Raises WrongFile where it does not have `count` axes."""
    if len(shape) != count:
        raise WrongFile(f"expected a tensor of {count} axes, got shape {list(shape)}")
    return shape


def largest(values: Iterable[int], what: str) -> int:
    """The largest value. Raises WrongFile where there is none. what: the values' name in the message."""
    if not (values := list(values)):
        raise WrongFile(f"{what} are missing")
    return max(values)


def smallest(values: Iterable[int], what: str) -> int:
    """The smallest value. Raises WrongFile where there is none. what: the values' name in the message."""
    return -largest((-value for value in values), what)


def shared(whole: int, parts: int) -> int:
    """Channels of each part, if `whole` channels are divided into `parts`. Raises WrongFile for less than one part."""
    if parts < 1:
        raise WrongFile(f"expected {whole} channels in one or more parts, got {parts}")
    return whole // parts


def header_number(metadata: Mapping[str, str], name: str, default: int) -> int:
    """A whole number above 0 from a file's header, or the default where it has none. Raises WrongFile for other values."""
    text = metadata.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 1 << 31):
        raise WrongFile(f"{name} in its header: expected a whole number above 0, got {text[:40]!r}")
    return int(text)
