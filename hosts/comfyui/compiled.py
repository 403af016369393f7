"""Hooks in models that torch.compile has compiled (core's TorchCompileModel, KJNodes and others).

As set by default, torch compiles a method once and uses that for every module of its class, whatever hooks a module has: hooks
on the attentions to the text are lost where the attention to the picture was compiled first, and hooks that are put in after a
plain run are lost altogether (pytorch/pytorch#117758). A setting of torch's own makes compiled code look at hooks. It is set
while our hooks are at work and counts for what is compiled meanwhile, so what was compiled before is thrown away.
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
"""Frames that torch had compiled when hooks of ours were at work for the last time."""


@contextmanager
def hooks_enabled(model: nn.Module, options: Mapping[str, Any]) -> Iterator[None]:
    """Makes compiled code heed hooks for the time of one call of the model; does nothing where nothing is compiled.

    model     the network that is called
    options   `transformer_options`
    """
    dynamo: Any = sys.modules.get("torch._dynamo")
    if dynamo is None:
        yield
        return
    if _compiled_frames(dynamo) != _frames_after[0]:  # by others
        if not is_compiled(model, options):
            yield
            return
        log.info("Zoetrope: the model was compiled without hooks; it is compiled anew")
        dynamo.reset()
        _frames_after[0] = _compiled_frames(dynamo)
    with dynamo.config.patch(skip_nnmodule_hook_guards=False):
        yield
    _frames_after[0] = _compiled_frames(dynamo)


def is_compiled(model: nn.Module, options: Mapping[str, Any]) -> bool:
    """Whether the network, or one in it, is to be run compiled."""
    if "torch._dynamo" not in sys.modules:
        return False
    if any(CORE in named for named in options.get("wrappers", {}).values()):
        return True
    return any(hasattr(one, "_orig_mod") or one._compiled_call_impl is not None for one in model.modules())


def _compiled_frames(dynamo: Any) -> int:
    return dynamo.utils.counters["frames"]["ok"]
