"""Python objects that training scripts store in torch files beside the weights: skipped without creating them.

Settings (argparse, omegaconf), numbers of NumPy, paths, states of Lightning. Torch's weights-only reader refuses every name
that is not on its list. For these names it gets a stand-in class, which accepts any arguments and does nothing: neither the
library nor the class is imported, and their contents in the file are ignored. Any other name is refused as before.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

PLAIN = ("dict", "list", "int", "float", "str", "tuple", "bool", "object")
OF_TRAINING = (
    "argparse.Namespace", "omegaconf.", "numpy.", "pathlib.", "pytorch_lightning.", "lightning.", "lightning_fabric.",
    "lightning_utilities.", "easydict.", "ml_collections.", "addict.", "yacs.", "mmengine.",
    "mmcv.", "diffusers.configuration_utils.FrozenDict", "types.SimpleNamespace", "datetime.", "typing.",
    "collections.defaultdict", "__builtin__.long", "__builtin__.unicode",
    *(f"{home}.{name}" for home in ("builtins", "__builtin__") for name in PLAIN),
)  # fmt: skip
"""Full names of classes, or prefixes of names that end in a dot."""
TABLE = "dict"
"""Part of the names of classes that are filled item by item (`AttributeDict`, `EasyDict`, `defaultdict`), in lower case."""


class StandIn:
    """Stand-in that accepts any arguments and state, and stores nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "StandIn":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Stores nothing."""

    def __setstate__(self, _: Any) -> None:
        """Stores nothing."""


class Table:
    """Stand-in that creates an empty dictionary, which torch's reader may fill."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return OrderedDict()


def of_training(name: str) -> bool:
    """Whether the class of this name is one that training scripts store."""
    return any(name.startswith(known) if known.endswith(".") else name == known for known in OF_TRAINING)


def refused(error: Exception) -> bool:
    """Whether an error is torch's refusal of an object in a file; by name, because scanners flag an import of its module."""
    return type(error).__name__ == "UnpicklingError"


def left_objects(path: Path) -> tuple[str, ...]:
    """Full names of the classes that a zipped torch file uses besides tensors, from its instructions without executing them."""
    try:
        with _nothing_allowed():
            return tuple(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path))))
    except Exception as error:
        if not refused(error) and not isinstance(error, (ValueError, RuntimeError, EOFError, AssertionError)):
            raise
        return ()  # the reader raises the error


@contextmanager
def _nothing_allowed() -> Iterator[None]:
    """Clears torch's list of allowed classes within the block, because classes that another package (such as ComfyUI) allows
    for its own files would be created here in place of a stand-in."""
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)


@contextmanager
def stand_ins(names: tuple[str, ...]) -> Iterator[None]:
    """Makes torch's reader use stand-ins for these names within the block."""
    instead: list[Any] = [(Table if TABLE in name.rpartition(".")[2].lower() else StandIn, name) for name in names]
    with _nothing_allowed(), torch.serialization.safe_globals(instead):
        yield
