"""Digests of all settings that a picture depends on: weights, patches, conditions. Stable across restarts of the host."""

import enum
import functools
import hashlib
import types
import weakref
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from . import run_state
from .call import GUIDE, IMAGE_PROMPT, INTERVAL, LORA, MERGED, MOTION, SHARED, is_ours

DEEPEST = 12
PASSED_OVER = {
    "uuid", "patches_uuid", "hook_id", "wrappers", "callbacks", "sample_sigmas", "model_loaded_weight_memory",
    "current_weight_patches_uuid", "lowvram_patch_counter", "model_lowvram", "model_offload_buffer_memory", "curr_t", "_curr_t",
    "_current_keyframe", "_current_used_steps", "_current_index", "_current_strength", "start_t",
}  # fmt: skip
"""Names in the host's dictionaries and objects that change from run to run, or whose functions are digested elsewhere."""

OF_CONTROL = (
    "cond_hint_original", "strength", "timestep_percent_range", "global_average_pooling", "compression_ratio", "extra_args",
    "upscale_algorithm", "extra_conds", "strength_type", "concat_mask", "extra_concat_orig", "vae", "control_weights",
    "t2i_model", "channels_in", "previous_controlnet", "frames", "kind",
)  # fmt: skip
"""Settings of a ControlNet or T2I adapter; its other attributes are state of the last run."""

PACK = __name__.removesuffix("hosts.comfyui.fingerprint")
"""Prefix of the pack's module names, which depends on how the host loaded it; with the dot."""
FIRST_HOMES = {
    "hosts.comfyui.conditioning.per_frame": "hosts.comfyui_frames",
    "hosts.comfyui.conditioning.sparsectrl": "hosts.comfyui_sparsectrl",
    "hosts.comfyui.motion.schedule": "hosts.comfyui_sampling",
    "models.motion.frame_guide": "models.guide",
}
"""Module -> its name in 0.1. Digests contain names of classes, so these names are needed to continue shots of 0.1."""
FIRST_CLASSES = {"hosts.comfyui.conditioning.per_frame.TimelinePart": "hosts.comfyui_frames.Part"}
"""Class -> its name in 0.1, for the same reason."""
FIRST_FIELDS = {"sampling.timeline.Cue": {"text": "said"}}
"""Class -> its attributes -> their names in 0.1."""

PLAIN_HOMES = {"builtins", "torch", "uuid", "weakref", "threading", "logging", "numpy"}
"""Packages whose objects are not settings."""

_first: dict[tuple[int, int], tuple[Any, str]] = {}
"""Cached first digests of functions and callable objects by (id, depth), each with a weak reference to the object."""
_weights: "weakref.WeakKeyDictionary[nn.Module, str]" = weakref.WeakKeyDictionary()


def digest(value: Any) -> str:
    """`sha256:...` of plain values, tensors, networks, functions with their closures, and objects made of these."""
    return "sha256:" + _of(value, frozenset(), 0, _state_cells(value))


LATER = {
    "guidance interval": INTERVAL, "LoRAs by frame": LORA, "attention across frames": SHARED, "merged tokens": MERGED,
}  # fmt: skip
"""Settings that a MODEL has only where a node put them there: shots begun without them have none of these digests."""


def model_settings(patcher: Any) -> dict[str, str]:
    """Digests of a MODEL's settings, by the names that users see."""
    models, options = patcher.additional_models, patcher.model_options
    transformer_options = options.get("transformer_options", {})
    wrappers = {kind: _without(named) for kind, named in patcher.wrappers.items()}
    return {
        "model weights": weights(patcher),
        "LoRAs and other weight patches": digest(patcher.patches),
        "motion module": _networks(_only(models, MOTION)),
        "motion settings": digest(_only(transformer_options, MOTION)),
        "image prompts": _networks(_only(models, IMAGE_PROMPT)) + digest(_only(transformer_options, IMAGE_PROMPT)),
        "given frames": _networks(_only(models, GUIDE)) + digest(_only(transformer_options, GUIDE)),
        **{name: _both(patcher, key) for name, key in LATER.items() if _only(transformer_options, key)},
        "noise schedule": digest(patcher.get_model_object("model_sampling")),
        "model patches": digest([
            {**options, "transformer_options": _without(transformer_options)},
            {name: value for name, value in patcher.object_patches.items() if name != "model_sampling"},
            _networks(_without(models)),
            {kind: named for kind, named in wrappers.items() if named},
        ]),
    }  # fmt: skip


def _both(patcher: Any, key: str) -> str:
    """Digests of the networks and the options under a key of the pack."""
    networks, options = (_only(held, key) for held in (patcher.additional_models, patcher.model_options["transformer_options"]))
    return (_networks(networks) if networks else "") + digest(options)


def _only(named: Mapping[Any, Any], key: str) -> dict[Any, Any]:
    """Entries whose names begin with a key of the pack."""
    return {name: value for name, value in named.items() if str(name).startswith(key)}


def _without(named: Mapping[Any, Any]) -> dict[Any, Any]:
    """Entries of other packs and of core; the pack's other entries, such as windows, do not change a long shot."""
    return {name: value for name, value in named.items() if not is_ours(name)}


def _networks(models: Mapping[str, Any]) -> str:
    return digest([[_patched(patcher) for patcher in patchers] for patchers in models.values()])


def weights(patcher: Any) -> str:
    """Digest of the unpatched weights, also while the host has patched them in place. Computed once per network."""
    network = patcher.model
    if network not in _weights:
        state = dict(network.state_dict())
        for key, saved in patcher.backup.items():
            state[key] = getattr(saved, "weight", saved)
        # the host adds these objects while the model is loaded
        replaced = tuple(f"{name}." for name in ("model_sampling", *patcher.object_patches_backup))
        state = {key: value for key, value in state.items() if not key.startswith(replaced)}
        _weights[network] = digest(state)
    return _weights[network]


def _patched(patcher: Any) -> list[Any]:
    return [weights(patcher), patcher.patches]


def _of(value: Any, above: frozenset[int], depth: int, memory: frozenset[int]) -> str:
    """Hex digest of a value. above: ids of the containing objects; memory: ids of closure cells to skip."""
    hasher = hashlib.sha256()
    if depth > DEEPEST or id(value) in above:
        return "deeper"
    kind = Tensor if isinstance(value, Tensor) else type(value)  # a Parameter equals a Tensor of the same numbers
    hasher.update(" ".join(map(_name_of, kind.__mro__)).encode())  # all bases: the host makes classes at run time
    if isinstance(value, Tensor):
        hasher.update(f"{value.dtype} {tuple(value.shape)}".encode())
        if not value.is_meta:
            hasher.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    elif isinstance(value, bool | int | float | str | bytes | complex | torch.dtype | torch.device | torch.Size | None):
        hasher.update(repr(value).encode())
    elif isinstance(value, enum.Enum):
        hasher.update(value.name.encode())
    else:
        first = _first.get((id(value), depth)) if _may_change(value) else None
        if first and first[0]() is value:
            return first[1]
        for part in _parts(value, memory):
            hasher.update(_of(part, above | {id(value)}, depth + 1, memory).encode())
        if _may_change(value):
            here = (id(value), depth)
            _first[here] = (weakref.ref(value, lambda _: _first.pop(here, None)), hasher.hexdigest())
    return hasher.hexdigest()


def _may_change(value: Any) -> bool:
    """Whether a value may change when it is called; then its first digest is used as long as it exists."""
    if isinstance(value, types.FunctionType):
        return True
    kind = type(value)
    if kind.__weakrefoffset__ == 0 or kind.__module__.startswith(PACK) or kind.__module__.partition(".")[0] in PLAIN_HOMES:
        return False
    containers = nn.Module | Mapping | list | tuple | set | frozenset | types.ModuleType | type | types.MethodType
    return not isinstance(value, containers) and not _is_patcher(value) and not _is_control(value)


def _is_patcher(value: Any) -> bool:
    return hasattr(value, "model") and hasattr(value, "patches") and hasattr(value, "backup")


def _is_control(value: Any) -> bool:
    return hasattr(value, "get_control") and hasattr(value, "previous_controlnet")


def _name_of(kind: type) -> str:
    home = kind.__module__
    if not home.startswith(PACK):
        return f"{home}.{kind.__qualname__}"
    room = home[len(PACK) :]
    first = f"{FIRST_HOMES.get(room, room)}.{kind.__qualname__}"
    return PACK + FIRST_CLASSES.get(f"{room}.{kind.__qualname__}", first)


def _parts(value: Any, memory: frozenset[int]) -> Iterable[Any]:
    """Parts of an object that its digest covers, in a fixed order."""
    if isinstance(value, Mapping):
        named = [(key, part) for key, part in value.items() if key not in PASSED_OVER]
        return [part for pair in sorted(named, key=lambda pair: (type(pair[0]).__name__, str(pair[0]))) for part in pair]
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, set | frozenset):
        return sorted(_of(part, frozenset(), 1, memory) for part in value)
    if isinstance(value, types.ModuleType | type):
        return [value.__name__]
    if isinstance(value, functools.partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, types.MethodType):
        return [value.__func__, value.__self__]
    if isinstance(value, types.FunctionType):
        code = value.__code__
        cells = run_state.filled(cell for cell in value.__closure__ or () if id(cell) not in memory)
        plain = [const for const in code.co_consts if isinstance(const, bool | int | float | str | None)]
        return [value.__qualname__, code.co_code, plain, value.__defaults__, cells]
    if _is_patcher(value):
        return _patched(value)
    if _is_control(value):
        settings = {name: getattr(value, name) for name in OF_CONTROL if hasattr(value, name)}
        return [settings, [weights(one) for one in value.get_models()]]
    if isinstance(value, nn.Module):
        named = {name: part for name, part in vars(value).items() if name not in {"training", *PASSED_OVER}}
        plain = {name: part for name, part in named.items() if isinstance(part, bool | int | float | str | None)}
        return [plain, dict(value.state_dict())]
    return _plain_object(value)


def _plain_object(value: Any) -> Iterable[Any]:
    home = type(value).__module__.partition(".")[0]
    if home in PLAIN_HOMES or not hasattr(value, "__dict__"):
        return [str(value)] if home == "numpy" else []
    passed = run_state.attributes(type(value)) if not type(value).__module__.startswith(PACK) else ()
    names = FIRST_FIELDS.get(f"{type(value).__module__.removeprefix(PACK)}.{type(value).__qualname__}", {})
    named = {names.get(n, n): part for n, part in vars(value).items() if n not in passed}
    return [{n: part for n, part in named.items() if not isinstance(part, weakref.ref)}]


def _state_cells(value: Any) -> frozenset[int]:
    """Ids of closure cells in which functions keep state between calls; other functions may read the same cells."""
    seen: set[int] = set()
    cells: set[int] = set()
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, Tensor | nn.Module | bool | int | float | str | bytes | type | None):
            continue
        seen.add(id(one))
        if isinstance(one, types.FunctionType):
            cells |= {id(cell) for cell in run_state.memory_cells(one)}
            waiting += [*run_state.filled(one.__closure__), *(one.__defaults__ or ())]
        else:
            waiting += _parts(one, frozenset())
    return frozenset(cells)
