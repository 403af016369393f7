"""What training leaves in a table of weights: wrappers' names in front of keys, counters, losses, and averaged weights (EMA).

One place for every loader. Names are those of the libraries that write them: torch (`module.`, `_orig_mod.`, `n_averaged`),
DeepSpeed (`_forward_module.`), FSDP, LDM's `LitEma` (`model_ema.`, names without their dots), ema_pytorch, Lightning.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from ..errors import WrongFile

WRAPPERS = ("_orig_mod", "_forward_module", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
"""Names that a wrapper puts before those of the module that it wraps, at any depth; no network's own."""
OUTER = "module."
"""The same of data-parallel training, but networks have modules of this name as well: only before every key."""
COUNTERS = frozenset({
    "step", "steps", "global_step", "epoch", "iter", "iters", "iteration", "iterations", "num_updates", "decay", "n_averaged",
    "initted", "optimization_step", "optimizer_step", "cur_decay_value", "current_step", "num_steps", "train_step",
    "samples_seen", "logvar", "scale_factor",
})  # fmt: skip
"""Last names of numbers that training keeps beside weights; the last two are LDM's."""
LEFT = frozenset({
    "loss", "loss_fn", "criterion", "discriminator", "lpips", "perceptual_loss", "optimizer", "optimizers", "lr_scheduler",
    "lr_schedulers", "train_metrics", "val_metrics", "train_loss", "val_loss", "scaler", "grad_scaler",
})  # fmt: skip
"""First names of what a file of weights carries from its training."""
COMPANIONS = frozenset({
    "vae", "first_stage_model", "text_encoder", "text_encoder_2", "cond_stage_model", "conditioner", "image_encoder",
    "embedder", "clip", "tokenizer", "noise_scheduler", "denoiser", "loss", "controlnet", "text_model",
})  # fmt: skip
"""First names of the other networks of a pipeline, saved along by whoever saves a training whole."""
SCHEDULE = frozenset({
    "betas", "alphas_cumprod", "alphas_cumprod_prev", "sqrt_alphas_cumprod", "sqrt_one_minus_alphas_cumprod",
    "log_one_minus_alphas_cumprod", "sqrt_recip_alphas_cumprod", "sqrt_recipm1_alphas_cumprod", "posterior_variance",
    "posterior_log_variance_clipped", "posterior_mean_coef1", "posterior_mean_coef2", "lvlb_weights", "scale_arr",
})  # fmt: skip
"""The noise schedule that LDM's training code stores as buffers."""
AVERAGED = frozenset({"ema", "averaged", "average", "swa", "shadow"})
"""Words in the names of averaged weights."""
DEEPEST = 3
"""Names before a key that may differ between averaged and raw weights."""


@dataclass(frozen=True)
class CleanedWeights:
    """Weights without what training left, and what was done, for people."""

    tensors: Mapping[str, Tensor]
    notes: tuple[str, ...] = ()


def clean_weights(tensors: Mapping[str, Tensor]) -> CleanedWeights:
    """The weights in a table of tensors. What is clean already comes back as it is.

    Raises WrongFile where only averaged weights without full names are left.
    """
    notes: list[str] = []
    kept = unwrapped(tensors)
    if left := [key for key, value in kept.items() if is_left(key, value)]:
        notes.append(f"{len(left)} tensors of training are left out ({', '.join(groups(left))})")
        kept = unwrapped({key: value for key, value in kept.items() if key not in set(left)})
    averaged = {key: inner for key in kept if (inner := within_average(key)) is not None}
    if averaged:
        kept, words = _flat_average(kept, averaged)
        notes.append(words)
    return CleanedWeights(kept, tuple(notes))


def unwrapped(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The same without wrappers' names."""
    if any(name in key for key in tensors for name in WRAPPERS):
        tensors = {".".join(p for p in key.split(".") if p not in WRAPPERS): value for key, value in tensors.items()}
    while tensors and all(key.startswith(OUTER) for key in tensors):
        tensors = {key.removeprefix(OUTER): value for key, value in tensors.items()}
    return tensors


def is_left(key: str, value: Tensor) -> bool:
    """Whether a tensor is training's, not a network's."""
    first, _, _ = key.partition(".")
    last = key.rpartition(".")[2]
    outside = first == last or words(first) & AVERAGED or first == "model"
    return first in LEFT or bool(last in COUNTERS and outside and value.ndim <= 1)


def groups(keys: Iterable[str]) -> list[str]:
    """First names, each once."""
    return list(dict.fromkeys(key.partition(".")[0] for key in keys))[:4]


def words(name: str) -> set[str]:
    """The words of a name."""
    return set(re.split(r"[\W_]+", name.lower()))


def within_average(key: str) -> str | None:
    """The key inside a network of averaged weights whose name stands first or second; None for other keys."""
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
            f"this holds averaged weights alone ({name}), whose names have lost their dots, so nothing tells which is which. "
            "Save the averaged model itself (under its own names), or take the file with the raw weights beside them"
        )
    return unwrapped(shadow), f"averaged weights ({name}), the only ones in the file"


def better(raw: Mapping[str, Tensor], shadow: Mapping[str, Tensor], name: str) -> tuple[Mapping[str, Tensor], str]:
    """The raw weights with averaged ones in their places, where all of these have one; else the raw ones. And which it is."""
    for pairs in _ways(raw, shadow):
        if len(pairs) == len(shadow) and all(raw[key].shape == value.shape for key, value in pairs.items()):
            some = "" if len(pairs) == len(raw) else f" for {len(pairs)} of {len(raw)} tensors"
            return {**raw, **pairs}, f"averaged weights ({name}){some}, in place of the raw ones beside them"
    return raw, f"the raw weights: the averaged ones ({name}) do not have the same names and shapes"


def _ways(raw: Mapping[str, Tensor], shadow: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """Ways to find a raw key for each averaged one: further names in front of either, or names without dots."""
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
            dotless[name] = "" if name in dotless else key  # two keys of one name tell nothing
        yield {dotless[key]: value for key, value in shadow.items() if dotless.get(key)}


def _without(key: str, names: int) -> str:
    """A key without so many names in front, but for its last."""
    parts = key.split(".")
    return ".".join(parts[min(names, len(parts) - 1) :])


def in_order(raw: Mapping[str, Tensor], shadow: list[Tensor]) -> dict[str, Tensor] | None:
    """Names for averaged weights that have none (diffusers' `shadow_params`): those of the raw ones, in their order.

    Buffers have no average and are passed over. None where shapes do not agree.
    """
    named: dict[str, Tensor] = {}
    waiting = list(shadow)
    for key, value in raw.items():
        if waiting and waiting[0].shape == value.shape and not key.endswith(("pos_encoder.pe", "pos_embed.pe")):
            named[key] = waiting.pop(0)
    return None if waiting else named
