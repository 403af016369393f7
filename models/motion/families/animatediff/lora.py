"""LoRAs for motion modules: AnimateDiff's camera LoRAs, those of other trainers, and spatial ones (v3's domain adapter).

Published (guoyww/AnimateDiff `v2_lora_*`): `<attention>.processor.to_q_lora.down.weight`, no alpha: W += s * up @ down. Other
trainers name the same layers differently. A layer is recognised by the words of its name in order, with any signs between and
any prefix before them: the authors' and diffusers' names (the tables of module.py), with dots or with kohya's underscores. v3's
domain adapter has the published spelling on the image UNet's attention: it is an ordinary spatial LoRA.
"""

import copy
import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ....errors import DoesNotFit, WrongFile
from ....formats.checkpoint import SAFETENSORS, TORCH, read_file
from ....formats.keytable import KeyTable, Row, compiled, product
from ....formats.leftovers import clean_weights
from ....formats.lora import BUNDLED, LONGEST, Part, Scaling, alpha_in, from_config, part_of, scaling_of
from ....formats.published import Metadata, Published, Spelling
from ....formats.quantised import REMEDY, is_plain, layout_of
from ....formats.recognise import LoaderTarget, kind_of, refusal
from ....formats.strict import abbreviated, in_file, is_finite
from ...module import MotionModule
from .module import ADAPTER_LAYER, SITES, layer_rows

LAYERS = re.compile(r".*\.(?:to_[qkv]|to_out|proj_in|proj_out)\.weight")
"""Pattern of our keys of the weights that a LoRA may change: those of linear layers."""
MOTION = "motion_modules"
CONFIG = "adapter_config.json"
"""File of PEFT's settings, in the folder of its weights."""
ADAPTER = "adapter_model"
"""PEFT's name of the weight file, without its ending."""
SPATIAL = compiled("{*}attentions.{}.transformer_blocks.{}.attn{}.processor.to_{*}_lora.{*}.weight")
MARKS = (
    "down_blocks.{}.motion_modules.{}.temporal_transformer.transformer_blocks.{}.attention_blocks.{}.processor.to_q_lora.down.weight",
)
WANTED = LoaderTarget(
    "a LoRA for AnimateDiff's motion modules",
    (Published("motion_lora", "AnimateDiff's motion LoRAs", (Spelling("published", MARKS, (), lambda *_: table()),)),),
    ("motion_lora",),
)


def words_of(layer: str) -> str:
    """A layer's name reduced to what all spellings share: underscores between words, no names of wrapper modules."""
    joined = re.sub(r"[._]+", "_", layer.replace("temporal_transformer", "").replace("processor", ""))
    return re.sub(r"to_out_0$", "to_out", joined.strip("_"))


@cache
def table() -> KeyTable:
    """Key table from a layer's words (`words_of`), beginning with its block, to our key of its weight."""
    rows = [
        Row(words_of(row.published.removesuffix(".weight")), row.ours)
        for spelling in (layer_rows("pe"), ADAPTER_LAYER)
        for row in product(SITES, spelling)
        if LAYERS.fullmatch(row.ours)
    ]
    return KeyTable(tuple(dict.fromkeys(rows)))


def weight_of(layer: str) -> str | None:
    """Our key of a layer's weight, from its name in any spelling; None for layers outside motion modules."""
    found = re.search(r"(?:^|_)((?:down_blocks|up_blocks)_\d+_motion_modules_.*|mid_block_motion_modules_.*)", words_of(layer))
    return table().ours(found.group(1)) if found else None


@dataclass(frozen=True)
class MotionLora:
    """Contents of a motion LoRA file."""

    file: str
    factors: Mapping[str, tuple[Tensor, Tensor]]
    """Our key of a weight -> (down `(rank, in)`, up `(out, rank)`); up includes the file's scale."""
    spatial: Mapping[str, Tensor]
    """Tensors of a domain adapter, for the host's own LoRA loader; empty for other files."""
    notes: tuple[str, ...] = ()
    """How the file was read, as lines of text."""


@dataclass
class Half:
    """Tensors of a file for one weight."""

    layer: str
    """The layer's name in the file."""
    parts: dict[str, Tensor] = field(default_factory=dict)
    """`down`, `up`, `alpha`."""
    adapter: str = ""


def is_motion_lora(keys: Collection[str]) -> bool:
    """Whether any key belongs to a motion module, or all keys belong to a domain adapter."""
    return any((part := part_of(key)) and weight_of(part.module) for key in keys) or all(map(SPATIAL.fullmatch, keys))


def load_lora(path: str | Path) -> MotionLora:
    """Loads a motion LoRA. Raises WrongFile with the file's name and the remedy for any other file."""
    path = Path(path)
    contents = read_file(path)
    with in_file(path.name):
        return lora_from(contents.tensors, path.name, contents.metadata, contents.notes, _config_beside(path))


def lora_from(
    tensors: Mapping[str, Tensor], file: str, metadata: Metadata | None = None, notes: tuple[str, ...] = (),
    beside: Scaling | None = None,
) -> MotionLora:  # fmt: skip
    """As `load_lora`, from the tensors and the header of a file. beside: scale from PEFT's settings in the same folder."""
    cleaned = clean_weights(tensors)
    tensors, notes = cleaned.tensors, (*notes, *cleaned.notes)
    scaling = scaling_of(metadata or {})
    if layout := layout_of(tensors):
        raise WrongFile(f"{refusal(tensors, WANTED)} Its weights are stored as {layout}. {REMEDY}")
    if all(map(SPATIAL.fullmatch, tensors)):
        return MotionLora(file, {}, _scaled_spatial(tensors, scaling), notes)
    halves, unused = _sorted(tensors)
    if not halves:
        raise WrongFile(refusal(tensors, WANTED))
    if scaling == Scaling() and beside is not None and _same_ranks(beside, halves.values()):
        scaling = beside
    if scaling.adapter:
        raise WrongFile(_other_adapter(scaling.adapter, scaling.source))
    scales = {key: _scale(half, scaling) for key, half in halves.items()}
    factors = {key: _pair(key, half, scales[key]) for key, half in halves.items()}
    return MotionLora(file, factors, {}, (*notes, *_note_of_scale(scales, scaling), *_note_of_unused(unused)))


def _sorted(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Half], list[str]]:
    """Factors by our key of their weight, and the keys that belong to another network."""
    halves: dict[str, Half] = {}
    unused: list[str] = []
    for key, value in tensors.items():
        part = part_of(key)
        ours = weight_of(part.module) if part else None
        if part and ours:
            _put(halves.setdefault(ours, Half(part.module, adapter=part.adapter)), part, value, key)
        elif MOTION in key or (part is None and not key.startswith(BUNDLED)):
            raise WrongFile(_refusal_of(key, tensors))
        else:
            unused.append(key)
    return halves, unused


def _put(half: Half, part: Part, value: Tensor, key: str) -> None:
    if part.role not in ("down", "up", "alpha"):
        raise WrongFile(_other_adapter(part.role, key))
    if half.adapter != part.adapter and part.role != "alpha" and half.parts.keys() - {"alpha"}:
        names = f"{half.adapter or 'one without a name'} and {part.adapter or 'one without a name'}"
        raise WrongFile(f"the file holds two LoRAs, {names}, for {half.layer}. Save the one you want to a separate file")
    if part.role in half.parts:
        raise WrongFile(f"the file holds two LoRAs for one weight: {half.layer} and {part.module}. Save one of them alone")
    half.adapter = part.adapter or half.adapter
    half.parts[part.role] = value if part.role != "alpha" else torch.tensor(alpha_in(value, key))


def _refusal_of(key: str, tensors: Mapping[str, Tensor]) -> str:
    """Error message for a file with this unexpected key."""
    if any((part := part_of(each)) and weight_of(part.module) for each in tensors):
        return (
            f"this looks like a LoRA for a motion module, but has keys that no LoRA of AnimateDiff's motion modules has: "
            f"{key}. Use one trained only on their attention and feed-forward layers"
        )
    return refusal(tensors, WANTED)


def _other_adapter(name: str, where: str) -> str:
    return (
        f"this is {name} for a motion module ({where}). Apply Motion LoRA reads plain LoRAs: a down and an up factor per "
        "layer, with or without alpha. Use one trained as a plain LoRA, or convert it with the tool that trained it"
    )


def _pair(key: str, half: Half, scale: float) -> tuple[Tensor, Tensor]:
    """Down and up factor of one weight; the scale is in the up factor."""
    down, up = (_matrix(half.parts.get(role), f"{half.layer}, {role} factor") for role in ("down", "up"))
    if down is None or up is None or down.shape[0] != up.shape[1] or not down.shape[0]:
        shapes = " and ".join("none" if each is None else str(list(each.shape)) for each in (down, up))
        raise WrongFile(f"{half.layer}: expected a down and an up factor of one rank, got {shapes}; use a complete file")
    wide = [each if each.element_size() > 1 else each.to(torch.float32) for each in (down, up)]  # hosts cannot add fp8
    return wide[0], wide[1] if scale == 1 else wide[1].float() * scale


def _matrix(value: Tensor | None, name: str) -> Tensor | None:
    """A factor as a matrix, also from a 1x1 convolution. name: for error messages."""
    if value is None:
        return None
    if not is_plain(value) or value.layout != torch.strided or not is_finite(value):
        raise WrongFile(f"{name}: expected finite floating-point numbers; use a complete file in fp16 or fp32")
    if value.ndim > 2 and all(size == 1 for size in value.shape[2:]):
        value = value.flatten(1)
    if value.ndim != 2:
        raise WrongFile(
            f"{name}: expected a matrix, got shape {list(value.shape)}. A LoRA of convolutions fits no motion module, whose "
            "layers are linear"
        )
    return value


def _scale(half: Half, scaling: Scaling) -> float:
    down, alpha = half.parts.get("down"), half.parts.get("alpha")
    rank = down.shape[0] if down is not None and down.ndim else 0
    return scaling.of(half.layer, rank, None if alpha is None else float(alpha)) if rank else 1.0


def _scaled_spatial(tensors: Mapping[str, Tensor], scaling: Scaling) -> dict[str, Tensor]:
    """Tensors of a domain adapter; up factors include the file's scale."""
    scales = {key: _spatial_scale(key, tensors, scaling) for key in tensors if key.endswith(".up.weight")}
    return {key: value if scales.get(key, 1.0) == 1.0 else value.float() * scales[key] for key, value in tensors.items()}


def _spatial_scale(key: str, tensors: Mapping[str, Tensor], scaling: Scaling) -> float:
    down = tensors.get(key.replace(".up.weight", ".down.weight"))
    return scaling.of(key.removesuffix("_lora.up.weight"), down.shape[0]) if down is not None and down.numel() else 1.0


def _note_of_scale(scales: Mapping[str, float], scaling: Scaling) -> tuple[str, ...]:
    values = sorted(set(scales.values()))
    if values == [1.0]:
        return ()
    span = f"{values[0]:.4g}" if len(values) == 1 else f"{values[0]:.4g} to {values[-1]:.4g}"
    return (f"scaled by {span}, alpha by rank ({scaling.source or 'alpha tensors'})",)


def _note_of_unused(keys: list[str]) -> tuple[str, ...]:
    if not keys:
        return ()
    kind = kind_of(keys)
    what = f"{kind.name}; {kind.place}" if kind else abbreviated(keys, 2)
    return (f"{len(keys)} tensors that do not belong to a motion module are left out: {what}",)


def _config_beside(path: Path) -> Scaling | None:
    """Scale from PEFT's settings in a file's folder; None where there are none, or where they may belong to another file."""
    folder = path if path.is_dir() else path.parent
    config = folder / CONFIG
    if not config.is_file() or config.stat().st_size > LONGEST:
        return None
    files = [each for each in folder.iterdir() if each.suffix.lower() in SAFETENSORS | TORCH]
    if path.is_file() and path.stem != ADAPTER and len(files) > 1:
        return None
    try:
        settings = json.loads(config.read_text())
    except (ValueError, OSError, RecursionError):
        return None
    is_lora = isinstance(settings, dict) and "lora_alpha" in settings
    return from_config(settings, f"{CONFIG} beside the file") if is_lora else None


def _same_ranks(scaling: Scaling, halves: Iterable[Half]) -> bool:
    """Whether all factors have one of the ranks in the settings."""
    ranks: set[int] = set()
    for half in halves:
        down = half.parts.get("down")
        if down is not None and down.ndim:
            ranks.add(down.shape[0])
    return not scaling.ranks or ranks <= scaling.ranks


def factors_for(motion: MotionModule, lora: MotionLora) -> dict[str, tuple[Tensor, Tensor]]:
    """Factors of the weights that the module has. Factors of v2's mid block are skipped for v1 and v3, which have none.

    Raises DoesNotFit for a LoRA of another kind of module.
    """
    shapes = {key: tuple(value.shape) for key, value in motion.state_dict().items()}
    fitting = {key: pair for key, pair in lora.factors.items() if key in shapes}
    foreign = [key for key in lora.factors if key not in shapes and not key.startswith("mid.")]
    foreign += [key for key, (down, up) in fitting.items() if shapes[key] != (up.shape[0], down.shape[1])]
    if foreign or not fitting:
        raise DoesNotFit(
            f"{lora.file}: this motion LoRA does not fit this motion module ({(foreign or ['no weight in common'])[0]}). "
            "Camera LoRAs are made for AnimateDiff v2; they also load on v1, v3 and AnimateLCM."
        )
    return fitting


def merged(motion: MotionModule, lora: MotionLora, strength: float) -> MotionModule:
    """A copy of the module with W + strength * up @ down; the module itself does not change."""
    patched = copy.deepcopy(motion)
    weights = dict(patched.named_parameters())
    with torch.no_grad():
        for key, (down, up) in factors_for(motion, lora).items():
            change = strength * (up.float() @ down.float())
            if weights[key].element_size() > 1:
                weights[key].add_(change.to(weights[key].dtype))
            else:
                weights[key].copy_(weights[key].float() + change)  # torch cannot add to fp8
    return patched
