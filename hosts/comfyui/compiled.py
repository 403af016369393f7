"""Hooks in models that torch.compile has compiled (core's TorchCompileModel, KJNodes and others).

By default torch compiles a method once and reuses it for every module of the class, whatever hooks a module has: hooks on
cross-attentions are lost where a self-attention was compiled first, and hooks that are installed after a run without hooks are
lost altogether (pytorch/pytorch#117758). A setting of torch makes compiled code check for hooks. It is set while hooks of the
pack are active and affects only what is compiled meanwhile, so code compiled before is discarded.
"""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import nn

log = logging.getLogger(__name__)

CORE = "torch.compile"
"""Key of the wrapper that core's TorchCompileModel adds."""

_frames_after: list[int] = [0]
"""Number of code frames that torch had compiled when hooks of the pack were last active."""


@contextmanager
def hooks_enabled(model: nn.Module, options: Mapping[str, Any]) -> Iterator[None]:
    """Makes compiled code run hooks during one call of the model; does nothing where nothing is compiled.

    model     the network that is called
    options   `transformer_options`
    """
    dynamo: Any = sys.modules.get("torch._dynamo")
    if dynamo is None:
        yield
        return
    if _compiled_frames(dynamo) != _frames_after[0]:  # something was compiled without the setting
        if not is_compiled(model, options):
            yield
            return
        log.info("Zoetrope: the model was compiled without hooks; it is compiled again")
        dynamo.reset()
        _frames_after[0] = _compiled_frames(dynamo)
    with dynamo.config.patch(skip_nnmodule_hook_guards=False):
        yield
    _frames_after[0] = _compiled_frames(dynamo)


def is_compiled(model: nn.Module, options: Mapping[str, Any]) -> bool:
    """Whether the network, or one of its modules, runs compiled."""
    if "torch._dynamo" not in sys.modules:
        return False
    if any(CORE in named for named in options.get("wrappers", {}).values()):
        return True
    return any(hasattr(module, "_orig_mod") or module._compiled_call_impl is not None for module in model.modules())


def _compiled_frames(dynamo: Any) -> int:
    return dynamo.utils.counters["frames"]["ok"]
