"""Weights in the nested containers that training frameworks write to torch files.

Lightning (`state_dict` beside `callbacks`, `optimizer_states`, `hyper_parameters`), accelerate and DeepSpeed (`module`),
diffusers' `EMAModel` (`shadow_params`), BasicSR (`params`, `params_ema`), timm (`state_dict_ema`), and any other name: a table
of weights is recognised by its tensors, not by its name. Averaged weights are preferred, with a note.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..errors import WrongFile
from .leftovers import AVERAGED, COUNTERS, LEFT, better, clean_weights, in_order, unwrapped, words

DEEPEST = 4
"""Depth of nested tables that are searched."""
BESIDE = LEFT | frozenset({
    "optimizer_state", "optimizer_states", "optimizer_state_dict", "optimizer_g", "optimizer_d", "optim", "opt", "opt_state",
    "scheduler", "schedulers", "scheduler_state_dict", "loops", "hyper_parameters", "hparams", "config", "cfg", "args", "amp",
    "rng_state", "rng_states", "random_states", "random_rng_state", "ds_config", "param_shapes", "frozen_param_shapes",
    "frozen_param_fragments", "buffer_names", "shared_params", "net_d", "d", "disc", "critic", "animatediff_config",
    "sampler", "dataloader", "dataloaders", "training_state", "train_state", "current_model_state",
})  # fmt: skip
"""Names of entries that are no weights."""
CALLBACKS = "callbacks"
"""Name of the table in which some of Lightning's callbacks store averaged weights."""
JOINED = re.compile(r"image_proj(_model)?|ip_adapter|adapter_modules|string_to_(param|token)")
"""Names of tables that are parts of one model and prefixes of its keys: IP-Adapter's, and textual inversion's."""
SHADOW = "shadow_params"
LONGEST = 4096
"""Most characters of a text that is read from beside the weights."""


@dataclass(frozen=True, eq=False)
class Table:
    """Tensors of one table, and the names of the tables around it."""

    path: tuple[str, ...]
    tensors: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """The path with dots; empty at the top."""
        return ".".join(self.path)

    @property
    def averaged(self) -> bool:
        """Whether a name in the path is that of averaged weights."""
        return any(words(name) & AVERAGED for name in self.path)


@dataclass(frozen=True)
class Unpacked:
    """Weights of a file, notes on how they were found, and texts and numbers beside them."""

    tensors: dict[str, Tensor]
    notes: tuple[str, ...]
    header: dict[str, str]


def unpack(content: Any) -> Unpacked:
    """Finds the weights in the contents of a torch file. Raises WrongFile where there are none, or several models."""
    if not isinstance(content, Mapping):
        raise WrongFile(f"expected a table of tensors, got {type(content).__name__}; it is not a model")
    tables = _joined([table for table in _tables(content, ()) if table.tensors])
    if not tables:
        raise WrongFile(f"the file holds no tensors{_instead(content)}; it is not a model")
    table, notes = _chosen(tables)
    cleaned = clean_weights(table.tensors)
    return Unpacked(dict(cleaned.tensors), (*notes, *cleaned.notes), dict(_texts(content, ())))


def _tables(content: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[Table]:
    """This table and all in it, by their tensors; in `callbacks` only averaged ones."""
    named = {str(name): value for name, value in content.items()}
    inner = {name: value for name, value in named.items() if isinstance(value, (Mapping, list)) and name not in BESIDE}
    tensors = {name: value for name, value in named.items() if isinstance(value, Tensor)}
    nested = [table for name, value in inner.items() for table in _within(value, (*path, name))]
    if nested or path:  # some counters are stored as tensors
        tensors = {name: value for name, value in tensors.items() if name not in COUNTERS or value.numel() > 1}
    found = [Table(path, tensors), *nested]
    yield from (table for table in found if CALLBACKS not in table.path or table.averaged)


def _within(value: Any, path: tuple[str, ...]) -> list[Table]:
    if isinstance(value, Mapping):
        return list(_tables(value, path)) if len(path) <= DEEPEST else []
    shadow = path[-1] == SHADOW and value and all(isinstance(each, Tensor) for each in value)
    return [Table(path, dict(zip(map(str, range(len(value))), value, strict=True)))] if shadow else []


def _joined(tables: list[Table]) -> list[Table]:
    """The tables with the parts of one model (`JOINED`) merged into one."""
    parts = [table for table in tables if table.path and JOINED.fullmatch(table.path[-1])]
    if not parts:
        return tables
    merged = {f"{table.path[-1]}.{key}": value for table in parts for key, value in table.tensors.items()}
    return [Table(parts[0].path[:-1], merged), *(t for t in tables if t not in parts and t.averaged)]


def _chosen(tables: list[Table]) -> tuple[Table, list[str]]:
    """The table of weights to load, and notes about it."""
    raw, averaged = ([table for table in tables if table.averaged is is_so] for is_so in (False, True))
    for several in (raw, averaged):
        if len(several) > 1:
            raise WrongFile(_several(several))
    notes = [f"read from {table.name}" for table in (raw or averaged)[:1] if table.path]
    if not averaged:
        return raw[0], notes
    (shadow,) = averaged
    nameless = shadow.path[-1:] == (SHADOW,)
    if not raw:
        if nameless:
            raise WrongFile(
                f"the file holds only averaged weights without names ({shadow.name}, as diffusers' EMAModel stores them). Use "
                "the file with the model's own weights, or save the averaged model itself"
            )
        return shadow, [f"averaged weights ({shadow.name}), the only ones in the file"]
    raw_tensors = unwrapped(raw[0].tensors)
    averages = in_order(raw_tensors, list(shadow.tensors.values())) if nameless else clean_weights(shadow.tensors).tensors
    if averages is None:
        return raw[0], [*notes, f"the raw weights: the averaged ones ({shadow.name}) have no names and other shapes"]
    chosen, note = better(raw_tensors, averages, shadow.name)
    return Table(raw[0].path, chosen), [note]


def _several(tables: list[Table]) -> str:
    counts = " and ".join(f"{table.name or 'the top'} ({len(table.tensors)} tensors)" for table in tables[:4])
    return f"expected one model in the file, got {len(tables)}: {counts}. Save the one you want to a separate file"


def _instead(content: Mapping[Any, Any]) -> str:
    """Names at the top of a file without weights, for the message."""
    names = ", ".join(str(name)[:40] for name in list(content)[:6])
    return f" of a model under its names ({names})" if names else ""


def _texts(content: Mapping[Any, Any], path: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Texts and numbers beside the weights; small tables of them as JSON, as in a safetensors header."""
    for name, value in content.items():
        if isinstance(value, (str, int, float)) and len(str(value)) <= LONGEST:
            yield str(name), str(value)
        elif isinstance(value, Mapping) and not path:
            if _plain(value):
                text = json.dumps({str(key): each for key, each in value.items()})
                if len(text) <= LONGEST:
                    yield str(name), text
            elif name not in BESIDE:
                yield from _texts(value, (str(name),))


def _plain(value: Any, depth: int = 0) -> bool:
    if isinstance(value, Mapping):
        return depth < 3 and all(_plain(each, depth + 1) for each in value.values())
    if isinstance(value, (list, tuple)):
        return all(isinstance(each, (str, int, float)) for each in value)
    return value is None or isinstance(value, (str, int, float))
