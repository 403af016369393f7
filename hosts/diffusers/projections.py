"""Attentions of a `UNet2DConditionModel` that pass by what an edit is hooked into: refused in words, never without effect.

Edits hook an attention's `to_q`, `to_k`, `to_v` and `to_out`. `fuse_qkv_projections()` puts one matrix in the place of the
first three, and a processor of somebody's own may call none of them.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

FUSED = "Fused"
"""How the names of diffusers' processors begin that use one matrix; its flag `fused_projections` outlives unfusing."""


@contextmanager
def asked(unet: Any, attentions: Mapping[str, nn.Module], names: tuple[str, ...], what: str) -> Iterator[None]:
    """Watches over calls of `unet` for the length of the block: an attention that runs has to call its modules of these names.

    what   the edit, for the message
    A call raises ValueError where one did not: what came out of it would be without the edit there.
    """
    ran: set[str] = set()
    called: set[tuple[str, str]] = set()

    def start(module: nn.Module, args: Any) -> None:
        ran.clear()
        called.clear()
        check_separate(attentions, names, what)

    def stop(module: nn.Module, args: Any, output: Any) -> None:
        passed = [(place, name) for place in attentions if place in ran for name in names if (place, name) not in called]
        if passed:
            place, name = passed[0]
            processor = type(getattr(attentions[place], "processor", None)).__name__
            raise ValueError(
                f"{what} acts through {name} of each attention, which the attention at {place} did not call (processor "
                f"{processor}). Set a processor that does: unet.set_default_attn_processor()"
            )

    handles = [unet.register_forward_pre_hook(start), unet.register_forward_hook(stop)]
    for place, attention in attentions.items():
        handles.append(attention.register_forward_hook(lambda *_, place=place: ran.add(place)))
        for name in names:
            module = attention.get_submodule(name)
            handles.append(module.register_forward_hook(lambda *_, key=(place, name): called.add(key)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def check_separate(attentions: Mapping[str, nn.Module], names: tuple[str, ...], what: str) -> None:
    """Raises ValueError where projections that an edit needs are fused into one.

    A fused cross-attention keeps its `to_q`; a fused self-attention has neither.
    """
    for place, attention in attentions.items():
        fused = type(getattr(attention, "processor", None)).__name__.startswith(FUSED)
        if fused and (set(names) & {"to_k", "to_v"} or hasattr(attention, "to_qkv")):
            raise ValueError(
                f"{what} acts through {' and '.join(names)} of each attention, and this UNet's are fused into one ({place}). "
                "Call unet.unfuse_qkv_projections() first"
            )
