"""Layouts in which weights are stored as small whole numbers, or as fp8 with scales beside them: named, not read.

Plain fp8 (each number by itself, as ComfyUI and `tensor.to` write it) is read like any other type. Key names: ComfyUI 0.25
`comfy/ops.py` and `comfy/utils.py`, bitsandbytes, AutoGPTQ and AutoAWQ, optimum-quanto, Nunchaku (SVDQuant), HQQ, torchao,
compressed-tensors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .keytable import compiled


@dataclass(frozen=True)
class Layout:
    """One way to store a weight in several tensors."""

    name: str
    """What people read."""
    spellings: tuple[tuple[str, ...], ...]
    """Marks, `{*}` for anything: of one of these, each occurs among the keys of such a file."""


def stored(name: str, *spellings: tuple[str, ...]) -> Layout:
    return Layout(name, spellings)


LAYOUTS = (
    stored("SVDQuant (Nunchaku)", *(("{*}.qweight", f"{{*}}.{beside}") for beside in ("wscales", "smooth_factor", "wtscale"))),
    stored("GPTQ or AWQ", ("{*}.qweight", "{*}.qzeros"), ("{*}.qweight", "{*}.scales")),
    stored("bitsandbytes NF4", ("{*}bitsandbytes__nf4",)),
    stored("bitsandbytes FP4", ("{*}bitsandbytes__fp4",)),
    stored("bitsandbytes 4-bit", ("{*}.absmax",)),
    stored("bitsandbytes int8", ("{*}.SCB",), ("{*}.weight_format",)),
    stored("quanto", ("{*}._data", "{*}._scale")),
    stored("torchao", ("{*}_qdata",), ("{*}.tensor_impl{*}",)),
    stored("HQQ", ("{*}.W_q",)),
    stored("compressed-tensors", ("{*}.weight_packed",)),
    stored("NVFP4", ("{*}.weight_scale_2",)),
    stored("scaled fp8", ("{*}scaled_fp8",), ("{*}.scale_weight",), ("{*}.scale_input",)),
    stored("scaled fp8 or another of ComfyUI's scaled layouts", ("{*}.comfy_quant",)),
    stored("scaled fp8", ("{*}.weight_scale",), ("{*}.weight_scale_inv",), ("{*}.input_scale",)),
)
REMEDY = (
    "Zoetrope reads weights that stand by themselves (fp32, bf16, fp16, plain fp8). Take the file that is not quantised, such "
    "as its fp16 version, or dequantise it with the tool that made it"
)
STORED = {"qweight": "weight", "W_q": "weight", "_data": "weight", "weight_packed": "weight", "_qdata": "weight"}
"""How the main tensor of a layout is called in place of the weight."""


def layout_of(tensors: Mapping[str, Tensor]) -> str | None:
    """In which quantised layout weights are stored; None for plain ones."""
    endings = {key.rpartition(".")[2] for key in tensors}
    for layout in LAYOUTS:
        if any(all(_may_end(mark, endings) and _occurs(mark, tensors) for mark in marks) for marks in layout.spellings):
            return layout.name
    whole = next((v.dtype for k, v in tensors.items() if k.endswith("weight") and v.ndim > 1 and not is_plain(v)), None)
    return None if whole is None else f"numbers of the type {str(whole).removeprefix('torch.')}"


def is_plain(value: Tensor) -> bool:
    """Whether its numbers are weights by themselves."""
    packed = getattr(torch, "float4_e2m1fn_x2", None), getattr(torch, "float8_e8m0fnu", None)
    return value.is_floating_point() and value.dtype not in packed


def as_plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The keys that the file would have if it were not quantised, to know it by."""
    renamed: dict[str, Tensor] = {}
    for key, value in tensors.items():
        place, dot, last = key.rpartition(".")
        plain = place if last in ("_data", "_qdata") else place + dot + STORED.get(last, last)
        renamed.setdefault(plain, value)
    return renamed


def _may_end(mark: str, endings: set[str]) -> bool:
    """Quickly whether a mark can occur at all."""
    last = mark.rpartition(".")[2]
    return "{" in last or last in endings


def _occurs(mark: str, tensors: Mapping[str, Tensor]) -> bool:
    pattern = compiled(mark)
    return any(pattern.fullmatch(key) for key in tensors)
