"""Python objects that training scripts leave in torch files beside the weights: passed over without being made.

Settings (argparse, omegaconf), numbers of NumPy, paths, and what Lightning remembers. Torch's weights-only reader refuses every
name that it does not know. For these names it is given a stand-in of ours, which takes anything and does nothing: neither the
library nor the class is imported, and what the file says about them is never looked at. Any other name is refused as before.
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
"""Names, or beginnings of names that end in a dot."""
TABLE = "dict"
"""In the names of those that are filled item by item (`AttributeDict`, `EasyDict`, `defaultdict`), small or large."""


class StandIn:
    """Takes whatever it is given, and keeps nothing."""

    def __new__(cls, *_: Any, **__: Any) -> "StandIn":
        return super().__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        """Keeps nothing."""

    def __setstate__(self, _: Any) -> None:
        """Keeps nothing."""


class Table:
    """Makes an empty table, which torch's reader may fill."""

    def __new__(cls, *_: Any, **__: Any) -> Any:
        return OrderedDict()


def of_training(name: str) -> bool:
    """Whether an object of this name is known to be left by training."""
    return any(name.startswith(known) if known.endswith(".") else name == known for known in OF_TRAINING)


def refused(error: Exception) -> bool:
    """Whether torch's weights-only reader refuses what a file holds. By name: scanners object to its module."""
    return type(error).__name__ == "UnpicklingError"


def left_objects(path: Path) -> tuple[str, ...]:
    """Full names of what a zipped torch file wants made besides tensors, read off its instructions without following them."""
    try:
        with _nothing_allowed():
            return tuple(sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(path))))
    except Exception as error:
        if not refused(error) and not isinstance(error, (ValueError, RuntimeError, EOFError, AssertionError)):
            raise
        return ()  # the reader itself names what cannot be read


@contextmanager
def _nothing_allowed() -> Iterator[None]:
    """Sets aside the names that others (ComfyUI, say) let torch's reader make, for the length of the block: what they mean for
    their own files would be made here, where a stand-in is meant."""
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    try:
        yield
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)


@contextmanager
def stand_ins(names: tuple[str, ...]) -> Iterator[None]:
    """Gives torch's reader stand-ins for these names, for the length of the block."""
    instead: list[Any] = [(Table if TABLE in name.rpartition(".")[2].lower() else StandIn, name) for name in names]
    with _nothing_allowed(), torch.serialization.safe_globals(instead):
        yield
