"""Layouts in which weights are stored as small integers, or as fp8 with scales: recognised by name, not supported.

Plain fp8 (without scales, as ComfyUI and `tensor.to` write it) is read like any other type. Key names: ComfyUI 0.25
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
    """Layout of a weight in several tensors."""

    name: str
    """Name in messages."""
    spellings: tuple[tuple[str, ...], ...]
    """Sets of key patterns, `{*}` for any text: all patterns of one set occur among the keys of such a file."""


def stored(name: str, *spellings: tuple[str, ...]) -> Layout:
    """A layout with these sets of key patterns."""
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
    "Zoetrope reads weights without scales (fp32, bf16, fp16, plain fp8). Use the file that is not quantised, such as its fp16 "
    "version, or dequantise it with the tool that made it"
)
STORED = {"qweight": "weight", "W_q": "weight", "_data": "weight", "weight_packed": "weight", "_qdata": "weight"}
"""Name of a layout's main tensor -> name of the weight that it replaces."""


def layout_of(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the quantised layout of these weights; None for plain ones."""
    endings = {key.rpartition(".")[2] for key in tensors}
    for layout in LAYOUTS:
        if any(all(_may_end(mark, endings) and _occurs(mark, tensors) for mark in marks) for marks in layout.spellings):
            return layout.name
    dtype = next((v.dtype for k, v in tensors.items() if k.endswith("weight") and v.ndim > 1 and not is_plain(v)), None)
    return None if dtype is None else f"numbers of the type {str(dtype).removeprefix('torch.')}"


def is_plain(value: Tensor) -> bool:
    """Whether a tensor has floating-point numbers that are weights without further scales."""
    packed = getattr(torch, "float4_e2m1fn_x2", None), getattr(torch, "float8_e8m0fnu", None)
    return value.is_floating_point() and value.dtype not in packed


def as_plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors under the keys that the file would have if it were not quantised, to recognise its family."""
    renamed: dict[str, Tensor] = {}
    for key, value in tensors.items():
        place, dot, last = key.rpartition(".")
        plain = place if last in ("_data", "_qdata") else place + dot + STORED.get(last, last)
        renamed.setdefault(plain, value)
    return renamed


def _may_end(mark: str, endings: set[str]) -> bool:
    """Whether a mark can occur at all, as a fast check."""
    last = mark.rpartition(".")[2]
    return "{" in last or last in endings


def _occurs(mark: str, tensors: Mapping[str, Tensor]) -> bool:
    pattern = compiled(mark)
    return any(pattern.fullmatch(key) for key in tensors)
