"""Image prompts in ComfyUI: pictures through its CLIP-Vision, image tokens beside the text in every cross-attention.

A patched MODEL is a clone with keys and values as an additional model, hooks that the host installs and removes, and plain data
in `transformer_options`. No attention patch or replacement slot is used, so those of other packs keep working.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import comfy.model_management
import comfy.ops
import torch
from einops import rearrange
from torch import Tensor

from ....models.edits.image_attention import ImageAttention, ImageInputs
from ....models.edits.temporal import frames_per_clip
from ....models.image_prompt.loading import LoadedProjector, load_projector
from ....models.layers.strength import check_levels
from ....sampling.timeline import Numbers
from ..call import IMAGE_PROMPT, clip_frames, free_key, host_attention, numbering
from ..patching import HostEdit, UnetCall, check_range
from ..rebuild import patcher_for, rebuilt_by
from ..unet import unet_of, unet_places
from .clip_vision import null_states, states

TOGETHER, AVERAGE, IN_TURN = "together", "average", "one after another"
BATCHES = (TOGETHER, AVERAGE, IN_TURN)
"""Uses of several pictures: attention to all of them, their mean, or one after another over the frames."""


@dataclass(frozen=True)
class HostProjector:
    """An image projector with the host's patchers."""

    patcher: Any
    """ModelPatcher of the network that computes image tokens."""
    keys: Any
    """ModelPatcher of the keys and values in the UNet's attentions, the only part used in sampling."""
    loaded: LoadedProjector


@dataclass(frozen=True)
class ImagePromptSettings:
    """Settings of an image prompt; plain data only."""

    strength: float = 1.0
    start: float = 0.0
    """Share of the sampling at which the image prompt begins to act."""
    end: float = 1.0
    """Share of the sampling at which it ends."""
    batch: str = TOGETHER
    by_frame: Numbers | None = None
    """Factor of the strength by absolute frame."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """Prefixes of sites -> factor of the strength there."""

    def __post_init__(self) -> None:
        check_range(self.start, self.end)


def load(path: str) -> HostProjector:
    """Reads a projector file with the host's leaf layers."""
    return host_projector(load_projector(path, comfy.ops.manual_cast), load, path)


def host_projector(loaded: LoadedProjector, again: Callable[..., HostProjector] | None = None, *args: Any) -> HostProjector:
    """Wraps a loaded projector in the host's patchers.

    again   function that loads it once more with args, for hosts that rebuild networks
    """
    network = loaded.network
    projector = HostProjector(patcher_for(network.projector), patcher_for(network.image), loaded)
    if again:
        rebuilt_by(projector.patcher, _reload_part, "projector", again, *args)
        rebuilt_by(projector.keys, _reload_part, "image", again, *args)
    return projector


def _reload_part(name: str, again: Callable[..., HostProjector], *args: Any, disable_dynamic: bool = False) -> Any:
    return patcher_for(getattr(again(*args).loaded.network, name), disable_dynamic)


def apply_image_prompt(model: Any, projector: HostProjector, vision: Any, images: Tensor, settings: ImagePromptSettings) -> Any:
    """A clone of MODEL with the pictures `(n, h, w, c)` in [0, 1] as an image prompt.

    Raises ValueError where the projector does not fit this model, or the CLIP-Vision does not fit the projector.
    """
    check_projector(model, projector, settings)
    if settings.strength == 0:
        return model.clone()
    tokens, null = encode(projector, vision, images)
    patched, key = add_image_prompt(model, projector, settings)
    entry = patched.model_options["transformer_options"][key]
    entry |= {"tokens": _sets(tokens, settings.batch), "null": _sets(null.expand_as(tokens), settings.batch)}
    return patched


def check_projector(model: Any, projector: HostProjector, settings: ImagePromptSettings) -> None:
    """Raises ValueError where the projector does not fit this model, or `levels` names places that it does not have."""
    image = projector.loaded.network.image
    image.check_fit(unet_places(unet_of(model)))
    check_levels(settings.levels, image.places, "the image projector")


def add_image_prompt(model: Any, projector: HostProjector, settings: ImagePromptSettings) -> tuple[Any, str]:
    """A clone of MODEL with an image prompt that has no tokens yet and does not act, and the key of its options.

    Raises ValueError as `check_projector`.
    """
    check_projector(model, projector, settings)
    patched = model.clone()
    key = free_key(IMAGE_PROMPT, patched.model_options["transformer_options"])
    entry = {
        "strength": settings.strength, "by_frame": settings.by_frame, "start": settings.start, "end": settings.end,
        "levels": dict(settings.levels),
    }  # fmt: skip
    ImagePromptHooks(key).add_to(patched, projector.keys, entry)
    return patched, key


def encode(projector: HostProjector, vision: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Image tokens of each picture `(n, g, m, d)` and unconditional ones `(1, g, m, d)`, for g groups of frames."""
    loaded = projector.loaded
    conditional = states(vision, images, loaded)
    unconditional = null_states(vision, conditional, loaded)
    comfy.model_management.load_models_gpu([projector.patcher])
    device, dtype = projector.patcher.load_device, torch.float32
    with torch.inference_mode():
        tokens = loaded.network.projector(torch.cat([conditional, unconditional]).to(device, dtype))
        tokens = rearrange(tokens, "n (g m) d -> n g m d", g=loaded.frames)
    return tokens[:-1].cpu().clone(), tokens[-1:].cpu().clone()


def _sets(tokens: Tensor, batch: str) -> Tensor:
    """Sets of tokens `(sets, g, m, d)` of pictures' tokens `(n, g, m, d)`, by their use (`BATCHES`)."""
    if batch == TOGETHER:
        return rearrange(tokens, "n g m d -> 1 g (n m) d")
    return tokens.mean(0, keepdim=True) if batch == AVERAGE else tokens


class ImagePromptHooks(HostEdit[ImageInputs]):
    """The hooks of one image prompt."""

    def __init__(self, key: str):
        super().__init__(key, "image prompt", ImageAttention)
        self._negative: set[Any] = set()

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Records the ids of negative conditions: guiders with more than two conditionings pass them in another order."""
        before, self._negative = self._negative, set()
        for name, conditions in getattr(executor.class_obj, "original_conds", {}).items():
            if "negative" in name:
                self._negative |= {condition["uuid"] for condition in conditions or () if "uuid" in condition}
        try:
            return executor(*args, **kwargs)
        finally:
            self._negative = before

    def _unconditional(self, options: Mapping[str, Any], chunks: Sequence[int]) -> list[bool]:
        """Whether each part of a call gets the unconditional tokens."""
        names = options.get("uuids", ())
        if self._negative and len(names) == len(chunks):
            return [name in self._negative for name in names]
        return [chunk != 0 for chunk in chunks]

    def inputs(self, call: UnetCall) -> ImageInputs | None:
        entry, options = call.entry, call.options
        if "tokens" not in entry:
            return None
        chunks = options.get("cond_or_uncond", (0,))
        part = frames_per_clip(call.x.shape[0], len(chunks), 0)
        numbers, length = numbering(options, part)
        strength = torch.tensor([entry["by_frame"].at(number) if entry["by_frame"] else 1.0 for number in numbers])
        active = self.active(call.unet, options)
        strength = entry["strength"] * strength * (active.flatten().cpu() if isinstance(active, Tensor) else active)
        if not bool(strength.any()):
            return None
        same = bool((strength == strength[0]).all())
        tokens = torch.cat([entry["tokens"], entry["null"]])  # (sets, g, m, d), unconditional ones last
        clip, parts = clip_frames(options, part), self._unconditional(options, chunks)
        rows = torch.cat([_rows(entry["tokens"], unconditional, numbers, clip, length) for unconditional in parts])
        if tokens.shape[1] in (1, clip):
            sets = rearrange(tokens, "s g m d -> (s g) m d")
        else:  # DynamiCrafter's with another number of frames: every frame attends to all of them
            sets = rearrange(tokens, "s g m d -> s (g m) d")
            rows = rows // tokens.shape[1]
        return ImageInputs(
            sets, rows, float(strength[0]) if same else strength.repeat(len(chunks)), host_attention(options), entry["levels"]
        )


def _rows(tokens: Tensor, unconditional: bool, numbers: list[int], clip: int, length: int | None) -> Tensor:
    """Index of the set of tokens that each frame attends to `(f,)`, over sets and groups of frames.

    clip     frames that are sampled together; with as many groups, each frame has its own
    length   frames of the full clip, over which pictures are distributed; None: one per frame, then the last one
    """
    count, groups = tokens.shape[:2]
    position = [index % clip if groups == clip else 0 for index in range(len(numbers))]
    picture = [min(max(number * count // length if length else number, 0), count - 1) for number in numbers]
    offset = count if unconditional else 0
    return torch.tensor([(offset + which) * groups + place for which, place in zip(picture, position, strict=True)])
