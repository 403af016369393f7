"""Tokens merged across frames in the host: one matching per clip and attention, tokens of other windows within one step.

Draws are functions of (seed, step, frame numbers), so halves of the guidance draw alike whether the host runs them in one call
or in two, and a long shot that is continued draws what it would have drawn.
"""

import logging
import weakref
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ....models.edits.merging import MergeInputs, OtherWindows, TokenMerging, blocks_of, level_of
from ....models.edits.temporal import frames_per_clip
from ....sampling.noise import MASK, mixed
from ..call import (
    CALL_STATES,
    COUNTED,
    FRAMES,
    LENGTH,
    LEVELS,
    MERGED,
    MOTION,
    SHARED,
    clip_frames,
    frame_numbers,
    is_set,
    window_of,
)
from ..patching import HostEdit, UnetCall, check_range
from ..unet import unet_of, unet_places
from .shared_inputs import parts_of

log = logging.getLogger(__name__)

NODE = "Merge Across Frames"
DRAWS = 32
"""Numbers drawn per call: one per pass of the local merging, which at least halves the frames, and a last one."""
CUTTING = {"nodes_tomesd": "Token Merging", "tomesd": "Token Merging"}
"""Ends of the names of modules whose `attn1_patch` counts on one row of tokens per frame -> the node."""
TILING = {"nodes_hypertile": "HyperTile"}
"""Those that leave rows of another size alone."""


@dataclass(frozen=True)
class MergeSettings:
    """How tokens merge; all plain data."""

    ratio: float = 0.9
    """Share of tokens that merge in each pass over the frames of a window."""
    window_ratio: float = 0.8
    """Share that merges with the tokens of the window before; 0: windows share none."""
    levels: int = 2
    """Levels of the UNet, from the finest, whose self-attentions merge tokens; 0: none."""
    group: int = 4
    """Frames per destination frame."""
    seed: int = 0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self) -> None:
        check_range(self.start, self.end)
        for name, value in (("local_merge_ratio", self.ratio), ("global_merge_ratio", self.window_ratio)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}: expected 0 to 1, got {value:g}")
        if self.group < 2:
            raise ValueError(f"group: expected 2 or more frames, got {self.group}")


def merge_across_frames(model: Any, settings: MergeSettings) -> tuple[Any, str]:
    """(a clone of MODEL whose self-attentions merge tokens, a report of how many do).

    Raises ValueError where none does, or the MODEL merges already.
    """
    places = unet_places(unet_of(model))
    names, depth = list(blocks_of(places)), sum(site.startswith("down.") and site.endswith(".end") for site in places.sites)
    levels = sorted(level_of(name, depth) for name in names)
    merging = sum(level <= settings.levels for level in levels)
    text = f"{merging} of {len(names)} self-attentions merge tokens of different frames (levels up to {settings.levels})"
    patched = model.clone()
    options = patched.model_options["transformer_options"]
    if is_set(MERGED, options):
        raise ValueError(f"this MODEL has {NODE} already, and merged tokens cannot merge again; remove one of the two nodes")
    if settings.levels == 0:
        return patched, text
    if not merging:
        raise ValueError(
            f"levels: expected {levels[0] if levels else 'a UNet with self-attentions'} or more, got {settings.levels}. The "
            f"finest self-attention of this MODEL is at level {levels[0] if levels else 'none'}."
        )
    key = f"{MERGED}.0"
    own = {
        "local_merge_ratio": settings.ratio, "global_merge_ratio": settings.window_ratio, "levels": settings.levels,
        "group": settings.group, "seed": settings.seed, "start": settings.start, "end": settings.end, "depth": depth,
    }  # fmt: skip
    MergeHooks(key).add_to(patched, None, own)
    return patched, text


@dataclass
class StepTokens:
    """Tokens of the windows of one step: those of the window before, and those of this one."""

    key: Hashable = None
    """Of the step, where the caller of the model counts them."""
    level: float = -1.0
    numbers: tuple[int, ...] = ()
    seen: set[tuple[int, ...]] = field(default_factory=set)
    before: dict[Hashable, Tensor] = field(default_factory=dict)
    now: dict[Hashable, Tensor] = field(default_factory=dict)

    def enter(self, call: UnetCall, sigma: Tensor | None, numbers: tuple[int, ...]) -> None:
        """Called before each call of the UNet; in a new step nothing is left of the one before."""
        level = -1.0 if sigma is None else float(sigma.max())
        key = _step_key(call.options)
        if key != self.key or not self._same_step(call.options, sigma, level, numbers, key is not None):
            self.seen, self.before, self.now = set(), {}, {}
        elif numbers != self.numbers:
            self.before, self.now = {**self.before, **self.now}, {}
        self.key, self.level, self.numbers = key, level, numbers
        self.seen.add(numbers)

    def _same_step(
        self, options: Mapping[str, Any], sigma: Tensor | None, level: float, numbers: tuple[int, ...], counted: bool
    ) -> bool:
        if counted or (numbers == self.numbers and level == self.level):
            return True
        if FRAMES in options:  # a queue's iteration goes from clean to noisy; windows that share a level are other steps
            return sigma is not None and level > self.level and bool((sigma != sigma.flatten()[0]).any())
        return level == self.level and numbers not in self.seen


def _step_key(options: Mapping[str, Any]) -> Hashable:
    """Which step of Sliding Windows this is; None elsewhere."""
    return options[CALL_STATES].steps if FRAMES in options and LENGTH in options and CALL_STATES in options else None


class MergeHooks(HostEdit[MergeInputs]):
    """The hooks of one Merge Across Frames."""

    joins_frames = True
    has_network = False

    def __init__(self, key: str):
        super().__init__(key, "token merging across frames", TokenMerging)
        self._steps: weakref.WeakKeyDictionary[nn.Module, StepTokens] = weakref.WeakKeyDictionary()
        self._active = False

    def sample(self, executor: Any, noise: Tensor, latent: Any, sampler: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuses what cannot merge before any model is loaded; afterwards no token is kept, and what has merged is logged."""
        guider = executor.class_obj
        if len(noise) == 1 and not getattr(sampler, "has_own_windows", False):
            raise ValueError(
                f"{NODE}: expected a clip of 2 or more frames, got a latent of 1, which has no other frame to merge with. Set "
                "batch_size of the latent to the number of frames, or remove the node."
            )
        check_company(guider.model_patcher, guider.model_options.get("transformer_options", {}))
        self._steps.clear()
        self._active = False
        edit = self.edit_of(unet_of(guider.model_patcher))
        assert isinstance(edit, TokenMerging)
        edit.acted.clear()
        try:
            result = executor(noise, latent, sampler, *args, **kwargs)
        finally:
            self._steps.clear()
        if self._active and not edit.acted:
            log.warning("Zoetrope: %s has merged no tokens: the self-attentions of this MODEL were not called", NODE)
        return result

    def inputs(self, call: UnetCall) -> MergeInputs | None:
        entry, options = call.entry, call.options
        if not entry or not bool(torch.as_tensor(self.active(call.unet, options)).all()):
            self._steps.pop(call.unet, None)
            return None
        self._active = True
        part = frames_per_clip(call.x.shape[0], call.chunks, 0)
        frames, numbers = clip_frames(options, part), tuple(frame_numbers(options, part))
        sigma = options.get(LEVELS, options.get("sigmas"))
        *draws, last = drawn(entry["seed"], _step(options, sigma), numbers)
        step = self._steps.setdefault(call.unet, StepTokens())
        step.enter(call, sigma, numbers)
        parts = tuple(name for name in parts_of(options, call.chunks) for _ in range(part // frames))
        ratio = entry["global_merge_ratio"]
        windowed = FRAMES in options and not options.get(COUNTED) or window_of(options)
        others = OtherWindows(step.before, step.now, parts, ratio, last > 0.5) if ratio and windowed else None
        return MergeInputs(
            frames, call.x.shape[0], (call.x.shape[-2], call.x.shape[-1]), draws, entry["local_merge_ratio"], entry["group"],
            entry["levels"], others=others,
        )  # fmt: skip


def drawn(seed: int, step: int, numbers: Iterable[int]) -> list[float]:
    """Numbers in [0, 1) for the frames of a call at a step."""
    key = mixed(mixed(seed) ^ step)
    for number in numbers:
        key = mixed(key ^ (number & MASK))
    return torch.rand(DRAWS, generator=torch.Generator().manual_seed(key & (2**63 - 1))).tolist()


def _step(options: Mapping[str, Any], sigma: Tensor | None) -> int:
    sigmas = options.get("sample_sigmas")
    return 0 if sigmas is None or sigma is None else int((sigmas.cpu() - float(sigma.max())).abs().argmin())


def check_company(patcher: Any, options: Mapping[str, Any]) -> None:
    """Raises ValueError for what needs a row of tokens per frame; logs what has no effect where tokens merge."""
    if is_set(SHARED, options):
        raise ValueError(
            f"{NODE} and Look Across Frames both change the self-attentions of this MODEL, and merged tokens belong to no "
            "single frame. Remove one of the two."
        )
    patches = options.get("patches", {}).get("attn1_patch", ())
    modules = {str(getattr(patch, "__module__", "")) for patch in patches}
    for name in sorted({node for end, node in CUTTING.items() if any(module.endswith(end) for module in modules)}):
        raise ValueError(
            f"{NODE} and {name} both merge tokens of the self-attentions; take one of the two away from this MODEL."
        )
    replaced = [str(getattr(one, "__module__", "")) for one in options.get("patches_replace", {}).get("attn1", {}).values()]
    deepest = any(own["levels"] >= own["depth"] for key, own in options.items() if str(key).startswith(MERGED))
    if deepest and any(module.endswith("nodes_sag") for module in replaced):
        raise ValueError(
            f"{NODE}: Self-Attention Guidance measures the attention of each frame in the middle block, where tokens merge. "
            "Set levels to 2, or remove one of the two nodes."
        )
    for name in (node for end, node in TILING.items() if any(module.endswith(end) for module in modules)):
        log.warning("Zoetrope: %s has no effect in the self-attentions whose tokens %s has merged", name, NODE)
    for key in patcher.additional_models:
        networks = patcher.get_additional_models_with_key(key) if str(key).startswith(MOTION) else []
        if any(getattr(network.model, "sparse_causal", False) for network in networks):
            raise ValueError(
                f"{NODE}: the motion module on this MODEL (LaVie interpolation) has attention of each frame to other frames in "
                "place of its own, and merged tokens belong to no single frame. Remove one of the two."
            )
