"""Rebuilding of networks by newer hosts (`clone(force_deepcopy=True)`, another device, several GPUs, core's Train LoRA): the
host calls a function that loads the network again, stored on its patcher as `cached_patcher_init`."""

import inspect
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.model_patcher
from torch import nn


def patcher_for(network: nn.Module, disable_dynamic: bool = False) -> Any:
    """A ModelPatcher of the network; newer hosts have a class of patcher that streams weights.

    disable_dynamic   use the class without streaming
    """
    plain = comfy.model_patcher.ModelPatcher
    kind = plain if disable_dynamic else getattr(comfy.model_patcher, "CoreModelPatcher", plain)
    manager = comfy.model_management
    return kind(network, load_device=manager.get_torch_device(), offload_device=manager.unet_offload_device())


def rebuilt_by(patcher: Any, load: Callable[..., Any], *args: Any) -> Any:
    """The patcher, with `load(*args, disable_dynamic=...)` as its rebuild function where the host supports one."""
    if patcher is not None and hasattr(patcher, "cached_patcher_init"):
        patcher.cached_patcher_init = (load, args)
    return patcher


def dynamic_choice(function: Callable[..., Any], disable_dynamic: bool) -> dict[str, bool]:
    """`disable_dynamic` as a keyword argument for a function of the host; empty where that function has no such parameter."""
    return {"disable_dynamic": disable_dynamic} if "disable_dynamic" in inspect.signature(function).parameters else {}
