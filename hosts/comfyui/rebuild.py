"""How newer hosts make a network anew (`clone(force_deepcopy=True)`, another device, several GPUs, core's Train LoRA): by a
function that loads it again, kept on its patcher as `cached_patcher_init`."""

import inspect
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.model_patcher
from torch import nn


def patcher_for(network: nn.Module, disable_dynamic: bool = False) -> Any:
    """A network of ours in the host's hands; newer hosts stream weights through a kind of patcher of their own.

    disable_dynamic   the plain kind, whatever the host uses
    """
    plain = comfy.model_patcher.ModelPatcher
    kind = plain if disable_dynamic else getattr(comfy.model_patcher, "CoreModelPatcher", plain)
    manager = comfy.model_management
    return kind(network, load_device=manager.get_torch_device(), offload_device=manager.unet_offload_device())


def rebuilt_by(patcher: Any, load: Callable[..., Any], *args: Any) -> Any:
    """The patcher, which the host may make anew by `load(*args, disable_dynamic=...)`; hosts that do not ask are left alone."""
    if patcher is not None and hasattr(patcher, "cached_patcher_init"):
        patcher.cached_patcher_init = (load, args)
    return patcher


def dynamic_choice(function: Callable[..., Any], disable_dynamic: bool) -> dict[str, bool]:
    """`disable_dynamic` as a keyword for a function of the host; empty where the host has no such choice."""
    return {"disable_dynamic": disable_dynamic} if "disable_dynamic" in inspect.signature(function).parameters else {}
