"""Key tables: published spelling <-> ours, as rows of data that are read in both directions.

A key of ours that belongs to a temporal layer is its site and the layer's own key (`down.1.0.out.norm.weight`). Whatever else a
file holds is spelled `part:key`: `unet:` the image UNet in Stable Diffusion's LDM spelling, `text:`, `vae:`, `image:`, ...
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ..errors import WrongFile

REST = "{*}"
"""At the end of both sides of a row: whatever follows, unchanged."""


@dataclass(frozen=True)
class Drop:
    """The published tensor has axes of size one that ours has not (a 1x1 convolution stored for a linear layer)."""

    axis: int
    """The first of them, counted from the end where negative."""
    count: int = 1

    def ours(self, published: Tensor) -> Tensor:
        first = self.axis if self.axis >= 0 else published.ndim + self.axis
        if first < 1 or published.shape[first : first + self.count] != (1,) * self.count:
            where = f"axis {first}" if self.count == 1 else f"axes {first} to {first + self.count - 1}"
            raise WrongFile(f"expected size 1 at {where}, got shape {list(published.shape)}")
        return published.flatten(first - 1, first + self.count - 1)

    def published(self, ours: Tensor) -> Tensor:
        first = self.axis if self.axis >= 0 else ours.ndim + self.count + self.axis
        return ours[(slice(None),) * first + (None,) * self.count]


@dataclass(frozen=True)
class Take:
    """Ours is a range of channels of the published tensor; other rows take the others. Ranges are given in order."""

    axis: int
    start: int
    stop: int | None

    def ours(self, published: Tensor) -> Tensor:
        size = published.shape[self.axis] if -published.ndim <= self.axis < published.ndim else 0
        stop = size if self.stop is None else self.stop
        if not self.start <= stop <= size:
            raise WrongFile(f"expected {stop} channels or more on axis {self.axis}, got shape {list(published.shape)}")
        return published.narrow(self.axis, self.start, stop - self.start)


@dataclass(frozen=True)
class Row:
    """One line of a key table: the published spelling and ours, with `{}` for each number they share, in order."""

    published: str
    ours: str
    change: Drop | Take | None = None

    def __post_init__(self) -> None:
        if self.published.count("{}") != self.ours.count("{}"):
            raise ValueError(f"a row needs as many {{}} on both sides, got {self.published!r} and {self.ours!r}")


def product(places: Iterable[Row], parameters: Iterable[Row]) -> tuple[Row, ...]:
    """Every row of the first followed by every row of the second; a change is the parameter's, else the place's."""
    parameters = tuple(parameters)
    return tuple(
        Row(place.published + parameter.published, place.ours + parameter.ours, parameter.change or place.change)
        for place in places
        for parameter in parameters
    )


def weights(*names: tuple[str, str]) -> tuple[Row, ...]:
    """Rows for layers that have a weight and a bias: (published name, our name)."""
    return tuple(Row(f"{theirs}.{p}", f"{ours}.{p}") for theirs, ours in names for p in ("weight", "bias"))


def same(*spellings: str) -> tuple[Row, ...]:
    """Rows for keys that are spelled alike on both sides."""
    return tuple(Row(spelling, spelling) for spelling in spellings)


def prefixed(rows: Iterable[Row], published: str = "", ours: str = "") -> tuple[Row, ...]:
    return tuple(Row(published + row.published, ours + row.ours, row.change) for row in rows)


@dataclass(frozen=True)
class KeyTable:
    rows: tuple[Row, ...]

    @cached_property
    def _forth(self) -> dict[str, list[tuple[re.Pattern[str], Row]]]:
        return _by_shape_of_key((row.published, row) for row in self.rows)

    @cached_property
    def _back(self) -> dict[str, list[tuple[re.Pattern[str], Row]]]:
        return _by_shape_of_key((row.ours, row) for row in self.rows)

    def rename(self, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
        """The same tensors spelled our way, and the published keys for which there is no row.

        Raises WrongFile where a tensor does not have the shape that its row promises.
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
        """The published file again; keys of ours for which there is no row stay away."""
        pieces: dict[str, list[tuple[int, Tensor, Take | None]]] = {}
        for key, value in tensors.items():
            for row, slots in _matches(key, self._back)[:1]:
                take = row.change if isinstance(row.change, Take) else None
                whole = row.change.published(value) if isinstance(row.change, Drop) else value
                pieces.setdefault(_fill(row.published, slots), []).append((take.start if take else 0, whole, take))
        return {key: _join(parts) for key, parts in pieces.items()}

    def ours(self, published: str) -> str | None:
        """Our spelling of a published key; None where the table has no row for it."""
        return next((_fill(row.ours, slots) for row, slots in _matches(published, self._forth)), None)

    def published(self, ours: str) -> str | None:
        """The published spelling of one of our keys; None where the table has no row for it."""
        return next((_fill(row.published, slots) for row, slots in _matches(ours, self._back)), None)


def _join(parts: list[tuple[int, Tensor, Take | None]]) -> Tensor:
    if len(parts) == 1:
        return parts[0][1]
    ordered = sorted(parts, key=lambda part: part[0])
    take = ordered[0][2]
    assert take, "only pieces of one tensor share a published key"
    return torch.cat([value for _, value, _ in ordered], dim=take.axis)


def compiled(spelling: str) -> re.Pattern[str]:
    """A published or own spelling as a regular expression."""
    return re.compile(re.escape(spelling).replace(r"\{\}", r"(\d+)").replace(r"\{\*\}", "(.*)"))


def _blurred(key: str) -> str:
    return re.sub(r"\{\}|\d+", "#", key)


def _by_shape_of_key(rows: Iterable[tuple[str, Row]]) -> dict[str, list[tuple[re.Pattern[str], Row]]]:
    """Rows by what is left of them without numbers, so that a key is tried against a few of a thousand."""
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
