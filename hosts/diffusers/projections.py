"""Checks that the attentions of a `UNet2DConditionModel` call the projections that an edit is hooked into.

Edits hook an attention's `to_q`, `to_k`, `to_v` and `to_out`. `fuse_qkv_projections()` replaces the first three by one matrix,
and a custom attention processor may call none of them; the edit would then have no effect, without an error.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

FUSED = "Fused"
"""Name prefix of diffusers' processors with fused projections; the flag `fused_projections` stays set after unfusing."""


@contextmanager
def require_projection_calls(
    unet: Any, attentions: Mapping[str, nn.Module], names: tuple[str, ...], what: str
) -> Iterator[None]:
    """Checks calls of `unet` for the length of a `with` block: each attention that runs must call its modules of these names.

    what   the edit, for the message
    A call of `unet` raises ValueError where an attention did not: the edit would have no effect there.
    """
    ran: set[str] = set()
    called: set[tuple[str, str]] = set()

    def start(module: nn.Module, args: Any) -> None:
        ran.clear()
        called.clear()
        check_separate(attentions, names, what)

    def stop(module: nn.Module, args: Any, output: Any) -> None:
        expected = [(place, name) for place in attentions if place in ran for name in names]
        missing = [pair for pair in expected if pair not in called]
        if missing:
            place, name = missing[0]
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
    """Raises ValueError where projections that an edit needs are fused into one matrix.

    A fused cross-attention still has `to_q`; a fused self-attention has no separate projection.
    """
    for place, attention in attentions.items():
        fused = type(getattr(attention, "processor", None)).__name__.startswith(FUSED)
        if fused and (set(names) & {"to_k", "to_v"} or hasattr(attention, "to_qkv")):
            raise ValueError(
                f"{what} acts through {' and '.join(names)} of each attention, and this UNet's are fused into one ({place}). "
                "Call unet.unfuse_qkv_projections() first"
            )
