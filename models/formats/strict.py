"""Strict loading: the only way from published tensors to a network, with nothing missing, left over or undefined.

What a file says about itself is read through `FileShapes` and the helpers beside it, which raise `WrongFile` where it cannot be
so. Nothing else is told as a damaged file: an error in a family's code comes through as it is.
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
"""What a file holds besides the network's own weights: part (`unet`, `text`, `vae`, `image`, ...) -> key -> tensor."""
WHOLE = "take one that was saved whole, such as the published file"
RELATIVE = "It is a relative that Zoetrope does not know, or holds more than weights; pick another file"


@dataclass(frozen=True)
class RenamedTensors:
    """A file's tensors, spelled our way."""

    spelling: str
    """Whose key names the file uses."""
    table: KeyTable
    weights: Mapping[str, Tensor]
    """Those of the network itself."""
    parts: Parts
    left: tuple[str, ...] = ()
    """Keys of other networks that the file was saved with, and of training's schedule: left out."""

    def published(self) -> dict[str, Tensor]:
        """All of them, as the file spells them."""
        others = {f"{part}:{key}": value for part, held in self.parts.items() for key, value in held.items()}
        return self.table.restore({**self.weights, **others})


@dataclass(frozen=True)
class LoadedNetwork(Generic[Network]):
    """A network with a file's weights, which need no gradient, and what else the file holds."""

    network: Network
    spelled: RenamedTensors


def load_strict(
    family: Published,
    tensors: Mapping[str, Tensor],
    build: Callable[[Contents, Any], Network],
    ops: Any = nn,
    metadata: Metadata | None = None,
) -> LoadedNetwork[Network]:
    """Renames a file's tensors by its family's table and fills the network that `build` makes for their shapes.

    build   (what the file holds, namespace of the leaf layers) -> an empty network whose keys are ours
    Raises WrongFile on any key without a row, missing, left over, of another shape, infinite or undefined.
    """
    spelled = spell(family, tensors)
    contents = contents_of(spelled, metadata or {})
    return LoadedNetwork(fill(family, spelled.weights, spelled.table, lambda ops: build(contents, ops), ops), spelled)


@contextmanager
def in_file(name: str) -> Iterator[None]:
    """Puts the file's name in front of what is wrong with it."""
    try:
        yield
    except WrongFile as error:
        raise WrongFile(f"{name}: {error}") from error


def spell(family: Published, tensors: Mapping[str, Tensor]) -> RenamedTensors:
    """The tensors in our spelling, sorted into the network's weights and other parts."""
    shapes = FileShapes.of(tensors)
    spelling = family.spelling(shapes)
    assert spelling, f"{family.name} does not know these keys"
    try:
        prefix = spelling.prefix(shapes)
        table = spelling.table(FileShapes({k: shape for k, shape in shapes.items() if k.startswith(prefix)}), prefix)
    except WrongFile as error:
        raise WrongFile(f"this looks like {family.title}, but is not whole ({error}); {WHOLE}") from error
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
            f"this looks like {family.title}, but has wrong shapes: {some(empty)}, tensors without content. DeepSpeed's ZeRO-3 "
            "leaves such files: make a whole one with its zero_to_fp32.py."
        )
    return RenamedTensors(spelling.name, table, weights, parts, left)


def contents_of(spelled: RenamedTensors, metadata: Metadata) -> Contents:
    """Shapes of what a file holds, as families read them."""
    return Contents(
        weights=FileShapes.of(spelled.weights),
        parts={part: FileShapes.of(held) for part, held in spelled.parts.items()},
        buffers=spelled.parts.get("buffer", {}),
        metadata=metadata,
    )


def fill(
    family: Published, weights: Mapping[str, Tensor], table: KeyTable, build: Callable[[Any], Network], ops: Any = nn
) -> Network:
    """The network that `build` makes of leaf layers, with these weights: they become its parameters, nothing is copied.

    table   for messages, which name keys as the file spells them
    """
    with whole(family), torch.device("meta"):  # nothing is allocated or initialised twice
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
        raise WrongFile(f"this looks like {family.title}, but {error}. {WHOLE.capitalize()}.") from error
    left = [key for key in unexpected if key.partition(".")[0] in COMPANIONS or key.rpartition(".")[2] in SCHEDULE]
    if foreign := [key for key in unexpected if key not in set(left)]:
        raise WrongFile(
            f"this looks like {family.title}, but has keys that {family.title} does not have: {some(foreign)}. {RELATIVE}"
        )
    return ours, tuple(left)


@contextmanager
def whole(family: Published) -> Iterator[None]:
    """Adds the family's name to what a file says wrongly about itself, layers of impossible sizes included.

    torch's own layers refuse such sizes (32 norm groups on 20 channels) with ValueError or RuntimeError; only those that are
    raised inside torch's layers are meant, so that a wrong call of ours, or an error in our code, comes through.
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
    return WrongFile(f"this looks like {family.title}, but its tensors do not make a whole module ({error}); {WHOLE}")


def raised_in_a_layer(error: BaseException) -> bool:
    """Whether one of torch's own layers raised an error, itself or in what it called of torch (under `torch.device("meta")` a
    tensor is made in `torch.utils._device`)."""
    modules, trace = [], error.__traceback__
    while trace:
        modules.append(str(trace.tb_frame.f_globals.get("__name__", "")))
        trace = trace.tb_next
    inner = takewhile(lambda name: name.partition(".")[0] == "torch", reversed(modules))
    return any(name.startswith("torch.nn.modules") for name in inner)


def compare(plan: nn.Module, tensors: Mapping[str, Tensor], family: Published, table: KeyTable) -> None:
    """Refuses tensors that are not exactly the plan's. The plan is built of torch's layers: a host's may have no shapes yet."""
    expected = {key: tuple(value.shape) for key, value in plan.state_dict().items()}
    published = table.published
    missing = [published(key) or key for key in expected if key not in tensors]
    unexpected = [published(key) or key for key in tensors if key not in expected]
    wrong = [
        f"{published(key) or key}: expected {list(shape)}, got {list(tensors[key].shape)}"
        for key, shape in expected.items()
        if key in tensors and tuple(tensors[key].shape) != shape
    ]
    for what, keys in (("lacks keys", missing), ("has keys it should not", unexpected), ("has wrong shapes", wrong)):
        if keys:
            raise WrongFile(f"this looks like {family.title}, but {what}: {some(keys)}. {WHOLE.capitalize()}.")


def check_numbers(tensors: Mapping[str, Tensor], family: Published, table: KeyTable) -> None:
    """Refuses numbers that are no weights by themselves, and NaN and infinite ones, which decode to black frames long after
    anyone remembers the file."""
    whole = [key for key, value in tensors.items() if not is_plain(value) or value.layout != torch.strided]
    if whole:
        got = some(f"{table.published(key) or key}: {_type(tensors[key])}" for key in whole)
        raise WrongFile(f"this looks like {family.title}, but has weights that are no floating-point numbers: {got}")
    broken = [table.published(key) or key for key, value in tensors.items() if not is_finite(value)]
    if broken:
        raise WrongFile(
            f"this looks like {family.title}, but has infinite or undefined weights: {some(broken)}. Take its full-precision "
            "version, or the published file."
        )


def _type(value: Tensor) -> str:
    return str(value.dtype if value.layout == torch.strided else value.layout).removeprefix("torch.")


def is_finite(value: Tensor) -> bool:
    """Whether every floating-point number of a tensor is finite; a tensor without storage has none that is not.

    The smallest and the largest tell: NaN is passed on to both. One reading, and no copy but of fp8, for which torch has no
    order; half precision holds all of its numbers.
    """
    if value.device.type == "meta" or not value.numel():
        return True
    least, most = (value.half() if value.element_size() == 1 else value).aminmax()
    return math.isfinite(least.item()) and math.isfinite(most.item())


def some(lines: Iterable[str], most: int = 4) -> str:
    """The first few of many, for a message."""
    lines = list(lines)
    rest = f" and {len(lines) - most} more" if len(lines) > most else ""
    return ", ".join(lines[:most]) + rest
