"""Leftovers of training in a table of weights: names of wrappers before keys, counters, losses, and averaged weights (EMA).

Used by every loader. Names are those of the libraries that write them: torch (`module.`, `_orig_mod.`, `n_averaged`),
DeepSpeed (`_forward_module.`), FSDP, LDM's `LitEma` (`model_ema.`, names without their dots), ema_pytorch, Lightning.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import WrongFile

WRAPPERS = ("_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Names that wrappers add before those of the wrapped module, at any depth; no network uses them."""
OUTER = "module."
"""Prefix of data-parallel training; removed only where every key has it, because networks have modules of this name too."""
COUNTERS = frozenset({
    "step", "steps", "global_step", "epoch", "iter", "iters", "iteration", "iterations", "num_updates", "decay", "n_averaged",
    "initted", "optimization_step", "optimizer_step", "cur_decay_value", "current_step", "num_steps", "train_step",
    "samples_seen", "logvar", "scale_factor",
})  # fmt: skip
"""Last names of numbers that training stores beside weights; the last two are LDM's."""
LEFT = frozenset({
    "loss", "loss_fn", "criterion", "discriminator", "lpips", "perceptual_loss", "optimizer", "optimizers", "lr_scheduler",
    "lr_schedulers", "train_metrics", "val_metrics", "train_loss", "val_loss", "scaler", "grad_scaler",
})  # fmt: skip
"""First names of training's other entries in a file of weights."""
COMPANIONS = frozenset({
    "vae", "first_stage_model", "text_encoder", "text_encoder_2", "cond_stage_model", "conditioner", "image_encoder",
    "embedder", "clip", "tokenizer", "noise_scheduler", "denoiser", "loss", "controlnet", "text_model",
})  # fmt: skip
"""First names of a pipeline's other networks, which some training scripts save with the trained one."""
SCHEDULE = frozenset({
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
    "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2", "lvlb_weights", "scale_arr",
})  # fmt: skip
"""The noise schedule that LDM's training code stores as buffers."""
AVERAGED = frozenset({"ema", "averaged", "average", "swa", "shadow"})
"""Words in the names of averaged weights."""
DEEPEST = 3
"""Keys of averaged and raw weights may differ by a prefix of fewer names than this."""


@dataclass(frozen=True)
class CleanedWeights:
    """Weights without leftovers of training, and notes on the changes as lines of text."""

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def clean_weights(tensors: Mapping[str, Tensor]) -> CleanedWeights:
    """Removes leftovers of training from a table of tensors; averaged weights replace the raw ones.

    Raises WrongFile where there are only averaged weights without full names.
    """
    notes: list[str] = []
    kept = unwrapped(tensors)
    if left := [key for key, value in kept.items() if is_left(key, value)]:
        notes.append(f"{len(left)} tensors of training are left out ({', '.join(groups(left))})")
        kept = unwrapped({key: value for key, value in kept.items() if key not in set(left)})
    averaged = {key: inner for key in kept if (inner := within_average(key)) is not None}
    if averaged:
        kept, note = _flat_average(kept, averaged)
        notes.append(note)
    return CleanedWeights(kept, tuple(notes))


def unwrapped(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The tensors without names of wrappers in their keys."""
    if any(name in key for key in tensors for name in WRAPPERS):
        tensors = {".".join(p for p in key.split(".") if p not in WRAPPERS): value for key, value in tensors.items()}
    while tensors and all(key.startswith(OUTER) for key in tensors):
        tensors = {key.removeprefix(OUTER): value for key, value in tensors.items()}
    return tensors


def is_left(key: str, value: Tensor) -> bool:
    """Whether a tensor belongs to training, not to a network."""
    first, _, _ = key.partition(".")
    last = key.rpartition(".")[2]
    outside = first == last or words(first) & AVERAGED or first == "model"
    return first in LEFT or bool(last in COUNTERS and outside and value.ndim <= 1)


def groups(keys: Iterable[str]) -> list[str]:
    """First names of keys, each once; at most four."""
    return list(dict.fromkeys(key.partition(".")[0] for key in keys))[:4]


def words(name: str) -> set[str]:
    """The words of a name in lower case."""
    return set(re.split(r"[\W_]+", name.lower()))


def within_average(key: str) -> str | None:
    """The key inside a network of averaged weights whose name is first or second in it; None for other keys."""
    parts = key.split(".")
    for place, name in enumerate(parts[:-1][:2]):
        if words(name) & AVERAGED:
            return ".".join(parts[place + 1 :])
    return None


def _flat_average(kept: Mapping[str, Tensor], averaged: Mapping[str, str]) -> tuple[Mapping[str, Tensor], str]:
    raw = {key: value for key, value in kept.items() if key not in averaged}
    shadow = {inner: kept[key] for key, inner in averaged.items()}
    name = groups(averaged)[0]
    if raw:
        return better(raw, shadow, name)
    if not any("." in key for key in shadow):
        raise WrongFile(
            f"the file holds only averaged weights ({name}), whose names have no dots and cannot be matched. "
            "Save the averaged model itself (under its own names), or use a file that also has the raw weights"
        )
    return unwrapped(shadow), f"averaged weights ({name}), the only ones in the file"


def better(raw: Mapping[str, Tensor], shadow: Mapping[str, Tensor], name: str) -> tuple[Mapping[str, Tensor], str]:
    """The raw weights with averaged ones in their place, if each averaged one matches a raw one; else the raw weights. And a
    note on which it is."""
    for pairs in _pairings(raw, shadow):
        if len(pairs) == len(shadow) and all(raw[key].shape == value.shape for key, value in pairs.items()):
            some = "" if len(pairs) == len(raw) else f" for {len(pairs)} of {len(raw)} tensors"
            return {**raw, **pairs}, f"averaged weights ({name}){some}, in place of the raw ones beside them"
    return raw, f"the raw weights: the averaged ones ({name}) do not have the same names and shapes"


def _pairings(raw: Mapping[str, Tensor], shadow: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Averaged tensors by raw key, by one method after another: prefixes before either key are ignored, then dots too."""
    if not shadow:
        return
    for dropped in range(DEEPEST):
        inner = {_without(key, dropped): value for key, value in shadow.items()}
        first = next(iter(inner))
        for front in [key[: len(key) - len(first)] for key in raw if key == first or key.endswith(f".{first}")]:
            yield {front + key: value for key, value in inner.items() if front + key in raw}
    if any("." in key for key in shadow):
        return
    for dropped in range(DEEPEST):
        dotless: dict[str, str] = {}
        for key in raw:
            name = _without(key, dropped).replace(".", "")
            dotless[name] = "" if name in dotless else key  # ambiguous
        yield {dotless[key]: value for key, value in shadow.items() if dotless.get(key)}


def _without(key: str, names: int) -> str:
    """A key without its first `names` names; its last name always remains."""
    parts = key.split(".")
    return ".".join(parts[min(names, len(parts) - 1) :])


def in_order(raw: Mapping[str, Tensor], shadow: list[Tensor]) -> dict[str, Tensor] | None:
    """Averaged weights without names (diffusers' `shadow_params`) under the names of the raw ones, in the same order.

    Buffers have no average and are skipped. None where shapes do not agree.
    """
    named: dict[str, Tensor] = {}
    remaining = list(shadow)
    for key, value in raw.items():
        if remaining and remaining[0].shape == value.shape and not key.endswith(("pos_encoder.pe", "pos_embed.pe")):
            named[key] = remaining.pop(0)
    return None if remaining else named
