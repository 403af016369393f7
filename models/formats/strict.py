"""Strict loading of a file's tensors into a network: no key missing or unexpected, no NaN. Used by every loader.

Shapes and headers of files are read through `FileShapes` and the functions of its module, which raise `WrongFile` for
impossible values. Other errors in a family's code are raised unchanged, so that our bugs are not reported as damaged files.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from ..errors import WrongFile
from .facts import FileShapes
from .keytable import KeyTable
from .leftovers import COMPANIONS, SCHEDULE
from .published import Contents, Metadata, Published
from .quantised import is_plain

Network = TypeVar("Network", bound=nn.Module)
Parts = Mapping[str, Mapping[str, Tensor]]
"""Tensors in a file besides the network's own weights: part (`unet`, `text`, `vae`, `image`, ...) -> key -> tensor."""
USE_COMPLETE = "use a complete file, such as the published one"
UNSUPPORTED = "It is a related model that Zoetrope does not support, or the file contains more than weights; pick another file"


@dataclass(frozen=True)
class RenamedTensors:
    """A file's tensors, renamed to our keys."""

    spelling: str
    """Name of the `Spelling` (set of key names) that the file uses."""
    table: KeyTable
    weights: Mapping[str, Tensor]
    """Weights of the network itself."""
    parts: Parts
    left: tuple[str, ...] = ()
    """Keys that are not loaded: those of other networks in the file, and of the training's noise schedule."""

    def published(self) -> dict[str, Tensor]:
        """Weights and parts with the file's keys."""
        parts = {f"{part}:{key}": value for part, tensors in self.parts.items() for key, value in tensors.items()}
        return self.table.restore({**self.weights, **parts})


@dataclass(frozen=True)
class LoadedNetwork(Generic[Network]):
    """A network with a file's weights (without gradients), and the file's renamed tensors."""

    network: Network
    spelled: RenamedTensors


def load_strict(
    family: Published,
    tensors: Mapping[str, Tensor],
    build: Callable[[Contents, Any], Network],
    ops: Any = nn,
    metadata: Metadata | None = None,
) -> LoadedNetwork[Network]:
    """Renames a file's tensors to our keys and loads them into the network that `build` creates.

    build   (contents of the file, namespace of the leaf layers) -> an empty network with our keys
    Raises WrongFile for missing and unexpected keys, wrong shapes, and infinite or NaN weights.
    """
    spelled = spell(family, tensors)
    contents = contents_of(spelled, metadata or {})
    return LoadedNetwork(fill(family, spelled.weights, spelled.table, lambda ops: build(contents, ops), ops), spelled)


@contextmanager
def in_file(name: str) -> Iterator[None]:
    """Prefixes the message of a WrongFile raised within the block with the file's name."""
    try:
        yield
    except WrongFile as error:
        raise WrongFile(f"{name}: {error}") from error


def spell(family: Published, tensors: Mapping[str, Tensor]) -> RenamedTensors:
    """Renames a file's tensors to our keys and separates the network's own weights from other parts of the file.

    Raises WrongFile for an incomplete file of this family.
    """
    shapes = FileShapes.of(tensors)
    spelling = family.spelling(shapes)
    assert spelling, f"expected keys of {family.name}"
    try:
        prefix = spelling.prefix(shapes)
        table = spelling.table(FileShapes({k: shape for k, shape in shapes.items() if k.startswith(prefix)}), prefix)
    except WrongFile as error:
        raise WrongFile(f"this looks like {family.title}, but is incomplete ({error}); {USE_COMPLETE}") from error
    weights: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    renamed, left = _renamed(family, table, tensors)
    for key, value in renamed.items():
        part, colon, name = key.partition(":")
        if colon:
            parts.setdefault(part, {})[name] = value
        else:
            weights[key] = value
    if empty := [f"{table.published(key) or key}: got {list(v.shape)}" for key, v in weights.items() if not v.numel()]:
        raise WrongFile(
            f"this looks like {family.title}, but has wrong shapes: empty tensors ({abbreviated(empty)}). DeepSpeed's ZeRO-3 "
            "saves such files; convert this one with its zero_to_fp32.py."
        )
    return RenamedTensors(spelling.name, table, weights, parts, left)


def contents_of(spelled: RenamedTensors, metadata: Metadata) -> Contents:
    """Shapes and header of a file, in the form that a family's functions take."""
    return Contents(
        weights=FileShapes.of(spelled.weights),
        parts={part: FileShapes.of(tensors) for part, tensors in spelled.parts.items()},
        buffers=spelled.parts.get("buffer", {}),
        metadata=metadata,
    )


def fill(
    family: Published, weights: Mapping[str, Tensor], table: KeyTable, build: Callable[[Any], Network], ops: Any = nn
) -> Network:
    """Builds a network and assigns these weights to it without a copy.

    build   namespace of the leaf layers -> an empty network
    table   used for messages, which contain the file's own keys
    Raises WrongFile for keys and shapes other than the network's, and for infinite or NaN weights.
    """
    with as_wrong_file(family), torch.device("meta"):  # nothing is allocated or initialised twice
        plan = build(nn)
        compare(plan, weights, family, table)
        network = plan if ops is nn else build(ops)
    check_numbers(weights, family, table)
    network.load_state_dict(dict(weights), strict=True, assign=True)
    return network.requires_grad_(False).eval()


def _renamed(family: Published, table: KeyTable, tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    try:
        ours, unexpected = table.rename(tensors)
    except WrongFile as error:
        raise WrongFile(f"this looks like {family.title}, but {error}. {USE_COMPLETE.capitalize()}.") from error
    left = [key for key in unexpected if key.partition(".")[0] in COMPANIONS or key.rpartition(".")[2] in SCHEDULE]
    if foreign := [key for key in unexpected if key not in set(left)]:
        raise WrongFile(
            f"this looks like {family.title}, but has keys that {family.title} does not have: {abbreviated(foreign)}. "
            + UNSUPPORTED
        )
    return ours, tuple(left)


@contextmanager
def as_wrong_file(family: Published) -> Iterator[None]:
    """Converts errors raised within the block to a WrongFile with the family's name: any WrongFile, errors of torch's layers.

    torch's layers raise ValueError or RuntimeError for impossible sizes (32 norm groups for 20 channels). Such errors raised in
    our code are not converted, because they are bugs.
    """
    try:
        yield
    except WrongFile as error:
        raise _incomplete(family, error) from error
    except (ValueError, RuntimeError) as error:
        if not raised_in_a_layer(error):
            raise
        raise _incomplete(family, error) from error


def _incomplete(family: Published, error: Exception) -> WrongFile:
    if str(error).startswith("this looks like"):
        return WrongFile(str(error))
    problem = f"its tensors do not make a complete network ({error})"
    return WrongFile(f"this looks like {family.title}, but {problem}; {USE_COMPLETE}")


def raised_in_a_layer(error: BaseException) -> bool:
    """Whether an error was raised in one of torch's layers, or in a torch function that the layer called.

    Under `torch.device("meta")` a layer's tensors are created in `torch.utils._device`.
    """
    modules, trace = [], error.__traceback__
    while trace:
        modules.append(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
    inner = takewhile(lambda name: name.partition(".")[0] == "torch", reversed(modules))
    return any(name.startswith("torch.nn.modules") for name in inner)


def compare(plan: nn.Module, tensors: Mapping[str, Tensor], family: Published, table: KeyTable) -> None:
    """Raises WrongFile for tensors whose keys or shapes differ from the plan's.

    plan   the network built from torch's own layers, because a host's layers may have no shapes yet
    """
    expected = {key: tuple(value.shape) for key, value in plan.state_dict().items()}
    published = table.published
    missing = [published(key) or key for key in expected if key not in tensors]
    unexpected = [published(key) or key for key in tensors if key not in expected]
    wrong = [
        f"{published(key) or key}: expected {list(shape)}, got {list(tensors[key].shape)}"
        for key, shape in expected.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    for problem, keys in (("lacks keys", missing), ("has unexpected keys", unexpected), ("has wrong shapes", wrong)):
        if keys:
            raise WrongFile(f"this looks like {family.title}, but {problem}: {abbreviated(keys)}. {USE_COMPLETE.capitalize()}.")


def check_numbers(tensors: Mapping[str, Tensor], family: Published, table: KeyTable) -> None:
    """Raises WrongFile for tensors that are not plain floating-point numbers, and for NaN and infinite weights.

    A network with NaN weights would make black frames without an error.
    """
    unsupported = [key for key, value in tensors.items() if not is_plain(value) or value.layout != torch.strided]
    if unsupported:
        got = abbreviated(f"{table.published(key) or key}: {_type(tensors[key])}" for key in unsupported)
        raise WrongFile(f"this looks like {family.title}, but has weights that are not floating-point numbers: {got}")
    broken = [table.published(key) or key for key, value in tensors.items() if not is_finite(value)]
    if broken:
        raise WrongFile(
            f"this looks like {family.title}, but has infinite or NaN weights: {abbreviated(broken)}. "
            "Use its full-precision version, or the published file."
        )


def _type(value: Tensor) -> str:
    return str(value.dtype if value.layout == torch.strided else value.layout).removeprefix("torch.")


def is_finite(value: Tensor) -> bool:
    """Whether all values of a tensor are finite; True for a tensor without storage.

    Checks the minimum and the maximum, which are NaN if any value is: one pass, without a copy. torch cannot compare fp8, so it
    is converted to half precision, which represents all of its values.
    """
    if value.device.type == "meta" or not value.numel():
        return True
    least, most = (value.half() if value.element_size() == 1 else value).aminmax()
    return math.isfinite(least.item()) and math.isfinite(most.item())


def abbreviated(lines: Iterable[str], most: int = 4) -> str:
    """The first few items and the number of the others, for a message."""
    lines = list(lines)
    more = f" and {len(lines) - most} more" if len(lines) > most else ""
    return ", ".join(lines[:most]) + more
