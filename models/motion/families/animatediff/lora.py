"""LoRAs for motion modules: AnimateDiff's camera LoRAs, the same in PEFT's spelling, and spatial ones that travel with them.

Published (guoyww/AnimateDiff `v2_lora_*`): `<attention>.processor.to_q_lora.down.weight`, no alpha: W += s * up @ down. PEFT:
`<attention>.to_q.lora_A.weight`, `lora_B`. MotionDirector's spelling differs at the output and has feed-forward factors. v3's
domain adapter has the published spelling on the image UNet's own attention: it is an ordinary spatial LoRA.
"""

import copy
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from ....errors import DoesNotFit, WrongFile
from ....formats.checkpoint import read_tensors
from ....formats.keytable import KeyTable, Row, compiled, product
from ....formats.strict import in_file
from ...module import MotionModule
from .module import SITES

TRANSFORMER = "temporal_transformer.transformer_blocks.{}"
FACTORS = (("down", "lora_A", "lora_A.default"), ("up", "lora_B", "lora_B.default"))
"""(published, PEFT, PEFT with the adapter's name)"""


@cache
def table() -> KeyTable:
    """Published spellings -> `<our weight>:down` and `:up`."""
    names = [("to_q", "to_q"), ("to_k", "to_k"), ("to_v", "to_v"), ("to_out", "to_out"), ("to_out.0", "to_out")]
    published, *peft = zip(*FACTORS, strict=True)
    layer = [Row(f"processor.{n}_lora.{f}.weight", f"{ours}.weight:{f}") for n, ours in names[:4] for f in published]
    layer += [Row(f"to_out.processor.0_lora.{f}.weight", f"to_out.weight:{f}") for f in published]
    layer += [
        Row(f"{n}.{theirs}.weight", f"{ours}.weight:{f}")
        for n, ours in names
        for spelling in peft
        for theirs, f in zip(spelling, published, strict=True)
    ]
    attentions = (
        *product(SITES, (Row(f"{TRANSFORMER}.attention_blocks.{{}}.", "blocks.{}.attentions.{}."),)),
        *product(SITES, [Row(f"transformer_blocks.{{}}.attn{n + 1}.", f"blocks.{{}}.attentions.{n}.") for n in (0, 1)]),
    )
    forward = [
        Row(
            f"temporal_transformer.transformer_blocks.{{}}.ff.net.{theirs}_lora.{f}.weight", f"blocks.{{}}.ff.{ours}.weight:{f}"
        )
        for theirs, ours in (("0.processor.proj", "proj_in"), ("processor.2", "proj_out"))
        for f in published
    ]
    return KeyTable((*product(attentions, layer), *product(SITES, forward)))


SPATIAL = compiled("{*}attentions.{}.transformer_blocks.{}.attn{}.processor.to_{*}_lora.{*}.weight")


@dataclass(frozen=True)
class MotionLora:
    file: str
    factors: Mapping[str, tuple[Tensor, Tensor]]
    """Our key of a weight -> (down `(rank, in)`, up `(out, rank)`)."""
    spatial: Mapping[str, Tensor]
    """Of a domain adapter: the file's tensors, for the host's own LoRA loader."""


def is_motion_lora(keys: Collection[str]) -> bool:
    prefix = _prefix(keys)
    return any(table().ours(key.removeprefix(prefix)) for key in keys) or any(SPATIAL.fullmatch(key) for key in keys)


def _prefix(keys: Collection[str]) -> str:
    pattern = compiled("{*}down_blocks.{*}")
    return next((m.group(1) for key in keys if (m := pattern.fullmatch(key)) and "motion_modules" in key), "")


def load_lora(path: str | Path) -> MotionLora:
    """Raises WrongFile, naming file and remedy, for anything but a LoRA of these kinds."""
    path = Path(path)
    tensors, _ = read_tensors(path)
    with in_file(path.name):
        return lora_from(tensors, path.name)


def lora_from(tensors: Mapping[str, Tensor], file: str) -> MotionLora:
    if all(SPATIAL.fullmatch(key) for key in tensors):
        return MotionLora(file, {}, dict(tensors))
    prefix = _prefix(tensors)
    halves, unexpected = table().rename({key.removeprefix(prefix): value for key, value in tensors.items()})
    if unexpected:
        raise WrongFile(
            f"expected a LoRA for AnimateDiff's motion modules, got keys such as {unexpected[0]}. A LoRA for the image model "
            "goes into core's Load LoRA; a motion module into Load Motion Module."
        )
    factors: dict[str, tuple[Tensor, Tensor]] = {}
    for key in dict.fromkeys(name.partition(":")[0] for name in halves):
        down, up = halves.get(f"{key}:down"), halves.get(f"{key}:up")
        if down is None or up is None or down.ndim != 2 or up.ndim != 2 or down.shape[0] != up.shape[1]:
            raise WrongFile(f"{key}: expected a down and an up factor of one rank; download the file again")
        factors[key] = (down, up)
    return MotionLora(file, factors, {})


def factors_for(motion: MotionModule, lora: MotionLora) -> dict[str, tuple[Tensor, Tensor]]:
    """The factors whose weights the module has. A LoRA for v2 has factors for the mid block, which v1 and v3 lack: skipped.

    Raises DoesNotFit where the LoRA is for another kind of module.
    """
    shapes = {key: tuple(value.shape) for key, value in motion.state_dict().items()}
    fitting = {key: pair for key, pair in lora.factors.items() if key in shapes}
    strangers = [key for key in lora.factors if key not in shapes and not key.startswith("mid.")]
    strangers += [key for key, (down, up) in fitting.items() if shapes[key] != (up.shape[0], down.shape[1])]
    if strangers or not fitting:
        raise DoesNotFit(
            f"{lora.file}: this motion LoRA does not fit this motion module ({(strangers or ['no weight in common'])[0]}). "
            "Camera LoRAs are made for AnimateDiff v2; they also load on v1, v3 and AnimateLCM."
        )
    return fitting


def merged(motion: MotionModule, lora: MotionLora, strength: float) -> MotionModule:
    """A copy of the module with W + strength * up @ down; the given one never changes."""
    patched = copy.deepcopy(motion)
    weights = dict(patched.named_parameters())
    with torch.no_grad():
        for key, (down, up) in factors_for(motion, lora).items():
            weights[key].add_((strength * (up.float() @ down.float())).to(weights[key].dtype))
    return patched
