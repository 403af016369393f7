"""Attention across frames in the host's UNet and in its ControlNets.

A patched MODEL is a clone with hooks that the host puts in and takes out, and plain data in `transformer_options`. Keys and
values of frame 0 are stored for the windows of one step; nothing outlives the step.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ....models.backbones.places import Places
from ....models.edits.frame_table import FrameTable
from ....models.edits.hooks import level_strength
from ....models.edits.shared_attention import SharedAttention, SharedInputs
from ....models.layers.strength import Strength, check_levels, check_strength, is_zero
from ..call import SHARED, free_key
from ..patching import HostEdit, UnetCall, check_range
from ..unet import unet_of, unet_places
from .shared_control import in_controlnets
from .shared_inputs import FirstFrameStore, parts_of, shared_inputs

EVERYWHERE, UP_PATH, FINEST = "everywhere", "up path", "finest level"
WHERE = (EVERYWHERE, UP_PATH, FINEST)
"""Attentions that attend to other frames: all; those of the UNet's decoder; those with the most tokens on either path."""


@dataclass(frozen=True)
class SharedSettings:
    """How frames attend to other frames; all plain data."""

    table: FrameTable
    where: str = EVERYWHERE
    strength: Strength = 1.0
    start: float = 0.0
    """Share of the sampling after which it begins to act."""
    end: float = 1.0
    levels: Mapping[str, float] = field(default_factory=dict)
    """Beginnings of places -> factor of the strength there."""
    controlnet: bool = False
    """Whether the self-attentions of ControlNets do the same."""

    def __post_init__(self) -> None:
        check_range(self.start, self.end)
        check_strength("strength", self.strength)


def apply_shared(model: Any, settings: SharedSettings) -> tuple[Any, str]:
    """A clone of MODEL whose frames attend to other frames, and one line that says in how many attentions.

    Raises ValueError for a MODEL that is no Stable Diffusion UNet, and for levels that it has not.
    """
    places = unet_places(unet_of(model))
    check_levels(settings.levels, tuple(places.self_attentions), "this MODEL")
    levels = {**_levels_of(settings.where, places), **settings.levels}
    acting = [name for name in places.self_attentions if not levels or level_strength(name, levels)]
    if is_zero(settings.strength):
        return model.clone(), f"0 of {len(places.self_attentions)} self-attentions attend to other frames (strength 0)"
    patched = model.clone()
    key = free_key(SHARED, patched.model_options["transformer_options"])
    own = {
        "table": settings.table, "strength": settings.strength, "start": settings.start, "end": settings.end, "levels": levels,
        "controlnet": settings.controlnet,
    }  # fmt: skip
    SharedHooks(key).add_to(patched, None, own)
    if settings.controlnet:
        in_controlnets(patched, key)
    where = "and those of ControlNets" if settings.controlnet else ""
    line = f"{len(acting)} of {len(places.self_attentions)} self-attentions {where} attend to: {settings.table.pattern}"
    return patched, " ".join(line.split())


def _levels_of(where: str, places: Places) -> dict[str, float]:
    """Factors that leave the chosen attentions alone at 1."""
    if where == EVERYWHERE:
        return {}
    nowhere = {"down": 0.0, "mid": 0.0}
    if where == UP_PATH:
        return nowhere
    down, up = (
        [int(name.split(".")[1]) for name in places.self_attentions if name.startswith(f"{path}.")] for path in ("down", "up")
    )
    finest = [*([f"down.{min(down)}"] if down else []), *([f"up.{max(up)}"] if up else [])]
    return {**nowhere, "up": 0.0, **dict.fromkeys(finest, 1.0)}


class SharedHooks(HostEdit[SharedInputs]):
    """The hooks of one choice of frames in the UNet."""

    uses_regions = True
    joins_frames = True
    has_network = False

    def __init__(self, key: str):
        super().__init__(key, "attention across frames", SharedAttention)
        self._store = FirstFrameStore()

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        edit = self.edit_of(unet_of(executor.class_obj.model_patcher))
        assert isinstance(edit, SharedAttention)
        edit.acted.clear()
        try:
            return executor(*args, **kwargs)
        finally:
            self._store.clear()

    def inputs(self, call: UnetCall) -> SharedInputs | None:
        parts = parts_of(call.options, call.chunks)
        return shared_inputs(call.entry, call.options, call.x, parts, self.active(call.unet, call.options), self._store)
