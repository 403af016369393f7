"""LoRA files of image models for a strength by frame: the host's own adapters as products of factors, and a report."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.lora
import comfy.ops
from torch import Tensor

from ....models.edits.lora import LoraLayers
from ....models.errors import DoesNotFit, WrongFile
from ....models.formats.checkpoint import read_file
from ....models.formats.lora import scaling_of
from ....models.formats.published import Metadata
from ....models.formats.strict import abbreviated, in_file
from ....models.layers.low_rank import Factors, LayerShape, as_product, of_loha, of_lokr, of_lora, tucker_product
from ..conditioning.lora_by_frame import HostLora
from ..rebuild import patcher_for, rebuilt_by
from .lora_keys import LoraTarget, SortedKeys, sorted_keys, target_of

KINDS = {"lora": "LoRA", "loha": "LoHa", "lokr": "LoKr"}


@dataclass(frozen=True)
class LoraContents:
    """A LoRA file as it acts on a MODEL."""

    file: str
    kind: str
    factors: Mapping[str, Factors]
    """By the UNet's names of its layers."""
    shapes: Mapping[str, LayerShape]
    keys: SortedKeys
    tensors: int
    """In the file."""
    notes: tuple[str, ...]


def load(path: str, model: Any) -> HostLora:
    """Reads a LoRA file for a MODEL.

    Raises WrongFile for another kind of file or of adapter, DoesNotFit for a LoRA that was made for another base model.
    """
    target = target_of(model)
    contents = read_lora(path, target)
    patcher = rebuilt_by(patcher_for(network_of(contents)), _patcher_again, path, target)
    return HostLora(patcher, contents.file, report_of(contents))


def _patcher_again(path: str, target: LoraTarget, disable_dynamic: bool = False) -> Any:
    return patcher_for(network_of(read_lora(path, target)), disable_dynamic)


def network_of(contents: LoraContents) -> LoraLayers:
    """The factors as layers of the host, which cast weights to the dtype and device of each call."""
    return LoraLayers(contents.factors, contents.shapes, comfy.ops.manual_cast).requires_grad_(False).eval()


def read_lora(path: str, target: LoraTarget) -> LoraContents:
    """The factors of a file for the layers of a MODEL."""
    held = read_file(path)
    with in_file(Path(path).name):
        return lora_from(held.tensors, Path(path).name, target, held.metadata, held.notes)


def lora_from(
    tensors: Mapping[str, Tensor], file: str, target: LoraTarget, metadata: Metadata | None = None, notes: tuple[str, ...] = ()
) -> LoraContents:
    """As `read_lora`, of a file's tensors and its header."""
    keys = sorted_keys(file, tensors, target, scaling_of(metadata or {}))
    adapters = _adapters(keys)
    factors: dict[str, Factors] = {}
    wrong: list[str] = []
    for layer, adapter in adapters.items():
        try:
            factors[layer] = _factors(adapter, target.shapes[layer])
        except ValueError as error:
            wrong.append(f"{layer}: {error}")
    if wrong:
        more = f"; and {len(wrong) - 1} more layers" if len(wrong) > 1 else ""
        raise DoesNotFit(
            f"{file}: this LoRA was made for another base model than this MODEL's: {wrong[0]}{more}. Use a LoRA for the base "
            "model of this checkpoint"
        )
    kind = " and ".join(dict.fromkeys(KINDS[adapter.name] for adapter in adapters.values()))
    return LoraContents(
        file, kind, factors, {layer: target.shapes[layer] for layer in factors}, keys, len(tensors), tuple(notes)
    )


def _adapters(keys: SortedKeys) -> dict[str, Any]:
    """The host's adapter of each layer."""
    flat = {f"{layer}.{ending}": value for layer, held in keys.layers.items() for ending, value in held.items()}
    try:
        adapters = comfy.lora.load_lora(flat, {layer: layer for layer in keys.layers}, log_missing=False)
    except KeyError as error:
        raise WrongFile(f"it lacks {error}; use a file that was saved whole") from None
    if missing := [layer for layer in keys.layers if layer not in adapters]:
        held = ", ".join(keys.layers[missing[0]])
        raise WrongFile(f"{missing[0]}: expected all factors of an adapter, got only {held}; use a file that was saved whole")
    return adapters


def _factors(adapter: Any, shape: LayerShape) -> Factors:
    """An adapter's change as a product of factors. Raises ValueError where it does not fit the layer."""
    held = adapter.weights
    if adapter.name == "lora":
        up, down, alpha, mid = held[:4]
        return of_lora(up, down, mid, _scale(alpha, len(down)), shape)
    if adapter.name == "loha":
        a, b, alpha, c, d, first, second = held[:7]
        return of_loha([(a, b, first), (c, d, second)], _scale(alpha, len(b)), shape)
    first, second, alpha, a, b, c, d, core = held[:8]
    rank = len(d) if second is None else len(b) if first is None else None
    w1 = (a, b) if first is None else as_product(first)
    w2 = as_product(second) if second is not None else (c, d) if core is None else tucker_product(c, d, core)
    return of_lokr(w1, w2, _scale(alpha, rank), shape)


def _scale(alpha: float | None, rank: int | None) -> float:
    """Alpha / rank; 1 where the file has no alpha, or a matrix that is not of low rank."""
    return 1.0 if alpha is None or rank is None else alpha / rank


def report_of(contents: LoraContents) -> str:
    """Which keys of the file act by frame, and which do not."""
    keys, shapes = contents.keys, contents.shapes.values()
    convolutions = sum(bool(shape.kernel) for shape in shapes)
    ranks = Counter(held.rank for held in contents.factors.values() if held.up is not None)
    whole = sum(held.up is None for held in contents.factors.values())
    span = f" of rank {min(ranks)}" + (f" to {max(ranks)}" if len(ranks) > 1 else "") if ranks else ""
    lines = [
        f"file        {contents.file}: {contents.kind}{span}",
        f"layers      {len(shapes)} of the UNet: {len(shapes) - convolutions} linear, {convolutions} convolution",
        f"by frame    {contents.tensors - keys.resting} of {contents.tensors} tensors",
    ]
    if whole:
        lines.append(f"as matrices {whole} layers, whose product of factors would be no smaller: slower, more memory")
    if keys.text:
        lines.append(
            f"not by frame {len(keys.text)} tensors of text encoders ({abbreviated(keys.text, 1)}): a prompt is read once for "
            "all frames. For them use core's Load LoRA with strength_model 0"
        )
    if keys.motion:
        lines.append(f"left out    {len(keys.motion)} tensors of a motion module: Apply Motion LoRA takes them")
    if keys.unknown:
        lines.append(f"left out    {len(keys.unknown)} tensors without a layer in this MODEL ({abbreviated(keys.unknown, 1)})")
    return "\n".join([*lines, *(f"note        {note}" for note in contents.notes)])
