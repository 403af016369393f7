"""Validation of a node's inputs before it runs.

The host checks typed numbers and the types of links, but neither a plain value in place of a link nor inputs that the node does
not have. Both occur in graphs that were written by hand or damaged.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from torch import Tensor

from ..video.frames.images import as_images

PLAIN = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "IMAGE": Tensor, "MASK": Tensor, "SIGMAS": Tensor, "CONDITIONING": list, "LATENT": Mapping, "AUDIO": Mapping,
}  # fmt: skip
"""Type of a link -> Python type of its values; links of other types have objects of their own classes."""


def checked(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator for every node's `execute` that raises ValueError, with the input's name, for invalid values.

    Images are converted by `as_images`.
    """
    signature = inspect.signature(execute)

    @wraps(execute)
    def run(cls: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            bound = signature.bind(cls, *args, **kwargs)
        except TypeError as error:
            raise ValueError(f"the inputs do not fit this node: {error}; add the node again and reconnect it") from error
        given = bound.arguments
        for one in cls.define_schema().inputs:
            if one.id in given:
                given[one.id] = _checked(one, given[one.id])
        return execute(*bound.args, **bound.kwargs)

    return run


def _checked(one: Any, value: Any) -> Any:
    kinds = set(str(one.get_io_type()).split(","))
    if value is None or kinds & PLAIN:
        return value
    types = tuple(PYTHON_TYPES.get(kind, object) for kind in kinds)
    fits = isinstance(value, Tensor | list | Mapping) and any(kind is not object and isinstance(value, kind) for kind in types)
    if not fits and (object not in types or isinstance(value, bool | int | float | str | list | tuple | Mapping)):
        names = " or ".join(sorted(kinds))
        raise ValueError(
            f"{one.id}: expected a link from a node with an output of type {names}, got {str(value)[:40]!r}; connect one"
        )
    return as_images(value, one.id) if "IMAGE" in kinds and isinstance(value, Tensor) else value
