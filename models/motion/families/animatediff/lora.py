"""LoRAs for motion modules: AnimateDiff's camera LoRAs, those of any trainer, and spatial ones that travel with them.

Published (guoyww/AnimateDiff `v2_lora_*`): `<attention>.processor.to_q_lora.down.weight`, no alpha: W += s * up @ down. Others
spell the same layers as they like; a layer is known by its words in order, whatever stands between and before them: the
authors' and diffusers' names (the tables of module.py), with dots or with kohya's underscores. v3's domain adapter has the
published spelling on the image UNet's own attention: it is an ordinary spatial LoRA.
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
from ....formats.strict import in_file, is_finite, some
from ...module import MotionModule
from .module import ADAPTER_LAYER, SITES, layer_rows

LAYERS = re.compile(r".*\.(?:to_[qkv]|to_out|proj_in|proj_out)\.weight")
"""Our keys of weights that a LoRA may change: those of linear layers."""
MOTION = "motion_modules"
CONFIG = "adapter_config.json"
"""Where PEFT writes its settings, beside its weights."""
ADAPTER = "adapter_model"
"""What it calls those."""
SPATIAL = compiled("{*}attentions.{}.transformer_blocks.{}.attn{}.processor.to_{*}_lora.{*}.weight")
MARKS = (
    "down_blocks.{}.motion_modules.{}.temporal_transformer.transformer_blocks.{}.attention_blocks.{}.processor.to_q_lora.down.weight",
)
WANTED = LoaderTarget(
    "LoRA for AnimateDiff's motion modules",
    (Published("motion_lora", "AnimateDiff's motion LoRAs", (Spelling("published", MARKS, (), lambda *_: table()),)),),
    ("motion_lora",),
)


def words_of(layer: str) -> str:
    """A layer's name without what spellings differ in: signs between words, and words that wrap others."""
    joined = re.sub(r"[._]+", "_", layer.replace("temporal_transformer", "").replace("processor", ""))
    return re.sub(r"to_out_0$", "to_out", joined.strip("_"))


@cache
def table() -> KeyTable:
    """Words of a layer, from its block on -> our key of its weight."""
    rows = [
        Row(words_of(row.published.removesuffix(".weight")), row.ours)
        for spelling in (layer_rows("pe"), ADAPTER_LAYER)
        for row in product(SITES, spelling)
        if LAYERS.fullmatch(row.ours)
    ]
    return KeyTable(tuple(dict.fromkeys(rows)))


def weight_of(layer: str) -> str | None:
    """Our key of the weight that a layer's name means, in any spelling; None for layers of no motion module."""
    found = re.search(r"(?:^|_)((?:down_blocks|up_blocks)_\d+_motion_modules_.*|mid_block_motion_modules_.*)", words_of(layer))
    return table().ours(found.group(1)) if found else None


@dataclass(frozen=True)
class MotionLora:
    file: str
    factors: Mapping[str, tuple[Tensor, Tensor]]
    """Our key of a weight -> (down `(rank, in)`, up `(out, rank)`); up is scaled as the file says."""
    spatial: Mapping[str, Tensor]
    """Of a domain adapter: the file's tensors, for the host's own LoRA loader."""
    notes: tuple[str, ...] = ()
    """What was done to read the file, for people."""


@dataclass
class Half:
    """What a file holds for one weight."""

    layer: str
    """As the file spells it."""
    parts: dict[str, Tensor] = field(default_factory=dict)
    """`down`, `up`, `alpha`."""
    adapter: str = ""


def is_motion_lora(keys: Collection[str]) -> bool:
    """Whether one of the keys is a motion module's, or all are a domain adapter's."""
    return any((part := part_of(key)) and weight_of(part.module) for key in keys) or all(map(SPATIAL.fullmatch, keys))


def load_lora(path: str | Path) -> MotionLora:
    """Raises WrongFile, naming file and remedy, for anything but a LoRA of these kinds."""
    path = Path(path)
    held = read_file(path)
    with in_file(path.name):
        return lora_from(held.tensors, path.name, held.metadata, held.notes, _config_beside(path))


def lora_from(
    tensors: Mapping[str, Tensor], file: str, metadata: Metadata | None = None, notes: tuple[str, ...] = (),
    beside: Scaling | None = None,
) -> MotionLora:  # fmt: skip
    """As `load_lora`, of a file's tensors and its header. beside: the scale that settings beside the file say."""
    settled = clean_weights(tensors)
    tensors, notes = settled.tensors, (*notes, *settled.notes)
    scaling = scaling_of(metadata or {})
    if layout := layout_of(tensors):
        raise WrongFile(f"{refusal(tensors, WANTED)} Its weights are stored as {layout}. {REMEDY}")
    if all(map(SPATIAL.fullmatch, tensors)):
        return MotionLora(file, {}, _scaled_spatial(tensors, scaling), notes)
    halves, rest = _sorted(tensors)
    if not halves:
        raise WrongFile(refusal(tensors, WANTED))
    if scaling == Scaling() and beside is not None and _same_ranks(beside, halves.values()):
        scaling = beside
    if scaling.adapter:
        raise WrongFile(_other_adapter(scaling.adapter, scaling.source))
    scales = {key: _scale(half, scaling) for key, half in halves.items()}
    factors = {key: _pair(key, half, scales[key]) for key, half in halves.items()}
    return MotionLora(file, factors, {}, (*notes, *_scale_said(scales, scaling), *_rest_said(rest)))


def _sorted(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Half], list[str]]:
    """Factors by our key of their weight, and the keys that are another network's."""
    halves: dict[str, Half] = {}
    rest: list[str] = []
    for key, value in tensors.items():
        part = part_of(key)
        ours = weight_of(part.module) if part else None
        if part and ours:
            _put(halves.setdefault(ours, Half(part.module, adapter=part.adapter)), part, value, key)
        elif MOTION in key or (part is None and not key.startswith(BUNDLED)):
            raise WrongFile(_stranger(key, tensors))
        else:
            rest.append(key)
    return halves, rest


def _put(half: Half, part: Part, value: Tensor, key: str) -> None:
    if part.role not in ("down", "up", "alpha"):
        raise WrongFile(_other_adapter(part.role, key))
    if half.adapter != part.adapter and part.role != "alpha" and half.parts.keys() - {"alpha"}:
        names = f"{half.adapter or 'one without a name'} and {part.adapter or 'one without a name'}"
        raise WrongFile(f"the file holds two LoRAs, {names}, for {half.layer}. Save the one you want to a file of its own")
    if part.role in half.parts:
        raise WrongFile(f"the file holds two LoRAs for one weight: {half.layer} and {part.module}. Save one of them alone")
    half.adapter = part.adapter or half.adapter
    half.parts[part.role] = value if part.role != "alpha" else torch.tensor(alpha_in(value, key))


def _stranger(key: str, tensors: Mapping[str, Tensor]) -> str:
    """What is wrong with a file that holds this key beside a LoRA's."""
    if any((part := part_of(each)) and weight_of(part.module) for each in tensors):
        return (
            f"this looks like a LoRA for a motion module, but has keys that no LoRA of AnimateDiff's motion modules has: "
            f"{key}. Take one trained on their attention and feed-forward layers alone"
        )
    return refusal(tensors, WANTED)


def _other_adapter(name: str, where: str) -> str:
    return (
        f"this is {name} for a motion module ({where}). Apply Motion LoRA reads plain LoRAs: a down and an up factor per "
        "layer, with or without alpha. Take one trained as a plain LoRA, or convert it with the tool that trained it"
    )


def _pair(key: str, half: Half, scale: float) -> tuple[Tensor, Tensor]:
    """The two factors of one weight, the scale in the second."""
    down, up = (_matrix(half.parts.get(role), f"{half.layer}, {role} factor") for role in ("down", "up"))
    if down is None or up is None or down.shape[0] != up.shape[1] or not down.shape[0]:
        shapes = " and ".join("none" if each is None else str(list(each.shape)) for each in (down, up))
        raise WrongFile(
            f"{half.layer}: expected a down and an up factor of one rank, got {shapes}; take one that was saved whole"
        )
    wide = [each if each.element_size() > 1 else each.to(torch.float32) for each in (down, up)]  # hosts add fp8 to nothing
    return wide[0], wide[1] if scale == 1 else wide[1].float() * scale


def _matrix(value: Tensor | None, name: str) -> Tensor | None:
    """A factor as a matrix; one stored as a 1x1 convolution is the same."""
    if value is None:
        return None
    if not is_plain(value) or value.layout != torch.strided or not is_finite(value):
        raise WrongFile(f"{name}: expected finite floating-point numbers; take one that was saved whole, in fp16 or fp32")
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
    """A domain adapter's tensors, up factors scaled as the file says."""
    scales = {key: _spatial_scale(key, tensors, scaling) for key in tensors if key.endswith(".up.weight")}
    return {key: value if scales.get(key, 1.0) == 1.0 else value.float() * scales[key] for key, value in tensors.items()}


def _spatial_scale(key: str, tensors: Mapping[str, Tensor], scaling: Scaling) -> float:
    down = tensors.get(key.replace(".up.weight", ".down.weight"))
    return scaling.of(key.removesuffix("_lora.up.weight"), down.shape[0]) if down is not None and down.numel() else 1.0


def _scale_said(scales: Mapping[str, float], scaling: Scaling) -> tuple[str, ...]:
    values = sorted(set(scales.values()))
    if values == [1.0]:
        return ()
    span = f"{values[0]:.4g}" if len(values) == 1 else f"{values[0]:.4g} to {values[-1]:.4g}"
    return (f"scaled by {span}, alpha by rank ({scaling.source or 'alpha tensors'})",)


def _rest_said(rest: list[str]) -> tuple[str, ...]:
    if not rest:
        return ()
    kind = kind_of(rest)
    where = f"{kind.name}; {kind.place}" if kind else some(rest, 2)
    return (f"{len(rest)} tensors that are no motion module's are left out: {where}",)


def _config_beside(path: Path) -> Scaling | None:
    """The scale in PEFT's settings beside a file; None where there are none, or they may be another file's."""
    folder = path if path.is_dir() else path.parent
    config = folder / CONFIG
    if not config.is_file() or config.stat().st_size > LONGEST:
        return None
    files = [each for each in folder.iterdir() if each.suffix.lower() in SAFETENSORS | TORCH]
    if path.is_file() and path.stem != ADAPTER and len(files) > 1:
        return None
    try:
        told = json.loads(config.read_text())
    except (ValueError, OSError, RecursionError):
        return None
    return from_config(told, f"{CONFIG} beside the file") if isinstance(told, dict) and "lora_alpha" in told else None


def _same_ranks(scaling: Scaling, halves: Iterable[Half]) -> bool:
    """Whether all factors have ranks that the settings name."""
    ranks = {down.shape[0] for half in halves if (down := half.parts.get("down")) is not None and down.ndim}
    return not scaling.ranks or ranks <= scaling.ranks


def factors_for(motion: MotionModule, lora: MotionLora) -> dict[str, tuple[Tensor, Tensor]]:
    """The factors whose weights the module has. A LoRA for v2 has factors for the mid block, which v1 and v3 lack: skipped.

    Raises DoesNotFit where the LoRA is for another kind of module.
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
    """A copy of the module with W + strength * up @ down; the given one never changes."""
    patched = copy.deepcopy(motion)
    weights = dict(patched.named_parameters())
    with torch.no_grad():
        for key, (down, up) in factors_for(motion, lora).items():
            change = strength * (up.float() @ down.float())
            if weights[key].element_size() > 1:
                weights[key].add_(change.to(weights[key].dtype))
            else:
                weights[key].copy_(weights[key].float() + change)  # torch adds nothing to fp8
    return patched
