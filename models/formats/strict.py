"""Strict filling: published tensors to our spelling and into a plan of shapes, with nothing missing, left over or undefined."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from .keytable import KeyTable
from .published import Published, Shapes


def table_of(family: Published, tensors: Mapping[str, Tensor]) -> tuple[str, KeyTable]:
    """The name of the spelling of a file with these keys, and the table for it."""
    shapes: Shapes = {key: tuple(value.shape) for key, value in tensors.items()}
    spelling = family.spelling(shapes)
    assert spelling, f"{family.name} does not know these keys"
    try:
        return spelling.name, spelling.table(shapes, spelling.prefix(shapes))
    except (LookupError, ValueError) as error:
        raise ValueError(f"this looks like {family.title}, but is not whole ({error}); download the file again") from error


def rename(family: Published, table: KeyTable, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, spelled our way. Raises ValueError on keys for which the family's table has no row."""
    try:
        ours, unexpected = table.rename(tensors)
    except ValueError as error:
        raise ValueError(f"this looks like {family.title}, but {error}. Download the file again.") from error
    if unexpected:
        raise ValueError(f"this looks like {family.title}, but has keys that {family.title} does not have: {some(unexpected)}")
    return ours


def compare(plan: nn.Module, tensors: Mapping[str, Tensor], family: Published, table: KeyTable) -> None:
    """Refuses tensors that are not exactly the plan's. The plan is built of torch's layers: a host's may have no shapes yet."""
    expected = {key: tuple(value.shape) for key, value in plan.state_dict().items()}
    published = table.published
    missing = [published(key) or key for key in expected if key not in tensors]
    unexpected = [published(key) or key for key in tensors if key not in expected]
    wrong = [
        f"{published(key)}: expected {list(shape)}, got {list(tensors[key].shape)}"
        for key, shape in expected.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    for what, keys in (("lacks keys", missing), ("has keys it should not", unexpected), ("has wrong shapes", wrong)):
        if keys:
            raise ValueError(f"this looks like {family.title}, but {what}: {some(keys)}. Download the file again.")


def check_finite(tensors: Mapping[str, Tensor], family: Published, table: KeyTable) -> None:
    """A weight that is no number makes every frame black, long after anyone remembers the file."""
    broken = [
        table.published(key) or key
        for key, value in tensors.items()
        if value.device.type != "meta" and not bool(torch.isfinite(value).all())
    ]
    if broken:
        raise ValueError(
            f"this looks like {family.title}, but has infinite or undefined weights: {some(broken)}. Download the file again, "
            "or its full-precision version."
        )


def some(lines: Iterable[str], most: int = 4) -> str:
    """The first few of many, for a message."""
    lines = list(lines)
    rest = f" and {len(lines) - most} more" if len(lines) > most else ""
    return ", ".join(lines[:most]) + rest
