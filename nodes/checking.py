"""What a graph hands to a node is looked at before the node runs.

The host checks numbers that are typed and the types of links, but neither a plain value where a link belongs nor inputs that
the node does not have. Both come out of graphs that were written by hand or changed in transit.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

from torch import Tensor

from ..video.frames.images import as_images

PLAIN = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
HELD: dict[str, type | tuple[type, ...]] = {
    "IMAGE": Tensor, "MASK": Tensor, "SIGMAS": Tensor, "CONDITIONING": list, "LATENT": Mapping, "AUDIO": Mapping,
}  # fmt: skip
"""What comes over links of these types; over other ones comes an object of a class of its own."""


def checked(execute: Callable[..., Any]) -> Callable[..., Any]:
    """For every node's `execute`: refuses what is no value of its inputs. Raises ValueError that names the input.

    Pictures arrive in `execute` as `as_images` makes them.
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
    held = tuple(HELD.get(kind, object) for kind in kinds)
    fits = isinstance(value, Tensor | list | Mapping) and any(kind is not object and isinstance(value, kind) for kind in held)
    if not fits and (object not in held or isinstance(value, bool | int | float | str | list | tuple | Mapping)):
        names = " or ".join(sorted(kinds))
        raise ValueError(f"{one.id}: expected a link from a node that gives {names}, got {str(value)[:40]!r}; connect one")
    return as_images(value, one.id) if "IMAGE" in kinds and isinstance(value, Tensor) else value
