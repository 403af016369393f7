"""Key tables: rows of data that map published key names to ours and back.

Our key of a temporal layer's weight is its site and the layer's own key (`down.1.0.out.norm.weight`). Keys of other networks in
a file are `part:key`: `unet:` for the image UNet in Stable Diffusion's LDM spelling, `text:`, `vae:`, `image:`, ...
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import WrongFile

REST = "{*}"
"""Placeholder at the end of both sides of a row: any text, unchanged."""


@dataclass(frozen=True)
class Drop:
    """Removes axes of size one from the published tensor (a linear layer that is stored as a 1x1 convolution)."""

    axis: int
    """The first of them, counted from the end where negative."""
    count: int = 1

    def ours(self, published: Tensor) -> Tensor:
        """Our tensor from the published one."""
        first = self.axis if self.axis >= 0 else published.ndim + self.axis
        if first < 1 or published.shape[first : first + self.count] != (1,) * self.count:
            where = f"axis {first}" if self.count == 1 else f"axes {first} to {first + self.count - 1}"
            raise WrongFile(f"expected size 1 at {where}, got shape {list(published.shape)}")
        return published.flatten(first - 1, first + self.count - 1)

    def published(self, ours: Tensor) -> Tensor:
        """The published tensor from ours."""
        first = self.axis if self.axis >= 0 else ours.ndim + self.count + self.axis
        return ours[(slice(None),) * first + (None,) * self.count]


@dataclass(frozen=True)
class Take:
    """Takes a range of channels from the published tensor; the remaining ones are taken by other rows, in order."""

    axis: int
    start: int
    stop: int | None

    def ours(self, published: Tensor) -> Tensor:
        """Our tensor from the published one."""
        size = published.shape[self.axis] if -published.ndim <= self.axis < published.ndim else 0
        stop = size if self.stop is None else self.stop
        if not self.start <= stop <= size:
            raise WrongFile(f"expected {stop} channels or more on axis {self.axis}, got shape {list(published.shape)}")
        return published.narrow(self.axis, self.start, stop - self.start)


@dataclass(frozen=True)
class Row:
    """Row of a key table: the published key and ours, with `{}` for each number that they share, in order."""

    published: str
    ours: str
    change: Drop | Take | None = None

    def __post_init__(self) -> None:
        if self.published.count("{}") != self.ours.count("{}"):
            raise ValueError(f"expected equally many {{}} on both sides of a row, got {self.published!r} and {self.ours!r}")


def product(places: Iterable[Row], parameters: Iterable[Row]) -> tuple[Row, ...]:
    """Rows for every pair of a place and a parameter, with their keys joined; the parameter's change has priority."""
    parameters = tuple(parameters)
    return tuple(
        Row(place.published + parameter.published, place.ours + parameter.ours, parameter.change or place.change)
        for place in places
        for parameter in parameters
    )


def weights(*names: tuple[str, str]) -> tuple[Row, ...]:
    """Rows for layers that have a weight and a bias: (published name, our name)."""
    return tuple(Row(f"{published}.{p}", f"{ours}.{p}") for published, ours in names for p in ("weight", "bias"))


def same(*spellings: str) -> tuple[Row, ...]:
    """Rows for keys that are equal on both sides."""
    return tuple(Row(spelling, spelling) for spelling in spellings)


def prefixed(rows: Iterable[Row], published: str = "", ours: str = "") -> tuple[Row, ...]:
    """Rows with a prefix before the published keys and before ours."""
    return tuple(Row(published + row.published, ours + row.ours, row.change) for row in rows)


@dataclass(frozen=True)
class KeyTable:
    """Mapping between published keys and ours."""

    rows: tuple[Row, ...]

    @cached_property
    def _forth(self) -> dict[str, list[tuple[re.Pattern[str], Row]]]:
        return _by_shape_of_key((row.published, row) for row in self.rows)

    @cached_property
    def _back(self) -> dict[str, list[tuple[re.Pattern[str], Row]]]:
        return _by_shape_of_key((row.ours, row) for row in self.rows)

    def rename(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """The tensors under our keys, and the published keys without a row.

        Raises WrongFile where a row's change does not fit the shape of the tensor.
        """
        ours: dict[str, Tensor] = {}
        unexpected = []
        for key, value in tensors.items():
            found = _matches(key, self._forth)
            if len(found) > 1 and not all(isinstance(row.change, Take) for row, _ in found):
                rows = " and ".join(f"{row.published!r} -> {row.ours!r}" for row, _ in found)
                raise ValueError(
                    f"{key}: two rows of the key table match ({rows}); one key has one row, unless each takes a part"
                )
            for row, slots in found:
                try:
                    ours[_fill(row.ours, slots)] = row.change.ours(value) if row.change else value
                except WrongFile as error:
                    raise WrongFile(f"{key}: {error}") from error
            if not found:
                unexpected.append(key)
        return ours, unexpected

    def restore(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The tensors under published keys; keys of ours without a row are omitted."""
        pieces: dict[str, list[tuple[int, Tensor, Take | None]]] = {}
        for key, value in tensors.items():
            for row, slots in _matches(key, self._back)[:1]:
                take = row.change if isinstance(row.change, Take) else None
                tensor = row.change.published(value) if isinstance(row.change, Drop) else value
                pieces.setdefault(_fill(row.published, slots), []).append((take.start if take else 0, tensor, take))
        return {key: _join(parts) for key, parts in pieces.items()}

    def ours(self, published: str) -> str | None:
        """Our key for a published one; None where the table has no row for it."""
        return next((_fill(row.ours, slots) for row, slots in _matches(published, self._forth)), None)

    def published(self, ours: str) -> str | None:
        """The published key for one of ours; None where the table has no row for it."""
        return next((_fill(row.published, slots) for row, slots in _matches(ours, self._back)), None)


def _join(parts: list[tuple[int, Tensor, Take | None]]) -> Tensor:
    if len(parts) == 1:
        return parts[0][1]
    ordered = sorted(parts, key=lambda part: part[0])
    take = ordered[0][2]
    assert take, "only parts of one tensor share a published key"
    return torch.cat([value for _, value, _ in ordered], dim=take.axis)


def compiled(spelling: str) -> re.Pattern[str]:
    """Regular expression for a key with placeholders `{}` (a number) and `{*}` (any text), which are its groups."""
    return re.compile(re.escape(spelling).replace(r"\{\}", r"(\d+)").replace(r"\{\*\}", "(.*)"))


def _blurred(key: str) -> str:
    return re.sub(r"\{\}|\d+", "#", key)


def _by_shape_of_key(rows: Iterable[tuple[str, Row]]) -> dict[str, list[tuple[re.Pattern[str], Row]]]:
    """Rows by their key with `#` for all numbers, so that a key is matched with few of many rows."""
    table: dict[str, list[tuple[re.Pattern[str], Row]]] = {}
    for spelling, row in rows:
        name = REST if spelling.endswith(REST) else _blurred(spelling)
        table.setdefault(name, []).append((compiled(spelling), row))
    return table


def _matches(key: str, table: Mapping[str, list[tuple[re.Pattern[str], Row]]]) -> list[tuple[Row, tuple[str, ...]]]:
    exact = [(row, m.groups()) for pattern, row in table.get(_blurred(key), ()) if (m := pattern.fullmatch(key))]
    return exact or [(row, m.groups()) for pattern, row in table.get(REST, ()) if (m := pattern.fullmatch(key))][:1]


def _fill(spelling: str, slots: tuple[str, ...]) -> str:
    return spelling.replace(REST, "{}").format(*slots)
