"""Image prompts in the host: pictures through its CLIP-Vision, tokens beside the text in every cross-attention.

A patched MODEL is a clone with keys and values as an additional model, hooks that the host puts in and takes out, plain data in
`transformer_options`. No attention patch or replacement slot is used, so other packs' stay at work.
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
"""What several pictures of one prompt are: all looked at, their mean, or shared out over the frames."""


@dataclass(frozen=True)
class HostProjector:
    """An image projector in the host's hands."""

    patcher: Any
    """Of the network that makes tokens of a picture."""
    keys: Any
    """Of the keys and values in the UNet's attentions: all that sampling needs."""
    loaded: LoadedProjector


@dataclass(frozen=True)
class ImagePromptSettings:
    """How pictures are shown; all plain data."""

    strength: float = 1.0
    start: float = 0.0
    """Share of the sampling after which they begin to act."""
    end: float = 1.0
    batch: str = TOGETHER
    by_frame: Numbers | None = None
    """Factor of the strength by absolute frame."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """Beginnings of places -> factor of the strength there."""

    def __post_init__(self) -> None:
        check_range(self.start, self.end)


def load(path: str) -> HostProjector:
    """Reads a projector file with the host's leaf layers."""
    return host_projector(load_projector(path, comfy.ops.manual_cast), load, path)


def host_projector(loaded: LoadedProjector, again: Callable[..., HostProjector] | None = None, *args: Any) -> HostProjector:
    """Hands a loaded projector to the host.

    again   what the host loads it with once more, called with args
    """
    network = loaded.network
    made = HostProjector(patcher_for(network.projector), patcher_for(network.image), loaded)
    if again:
        rebuilt_by(made.patcher, _part_again, "projector", again, *args)
        rebuilt_by(made.keys, _part_again, "image", again, *args)
    return made


def _part_again(name: str, again: Callable[..., HostProjector], *args: Any, disable_dynamic: bool = False) -> Any:
    return patcher_for(getattr(again(*args).loaded.network, name), disable_dynamic)


def apply_image_prompt(model: Any, projector: HostProjector, vision: Any, images: Tensor, settings: ImagePromptSettings) -> Any:
    """A clone of MODEL that looks at the pictures `(n, h, w, c)` in [0, 1].

    Raises ValueError where the projector does not fit this model, or the CLIP-Vision does not fit the projector.
    """
    network = projector.loaded.network
    network.image.check_fit(unet_places(unet_of(model)))
    check_levels(settings.levels, network.image.places, "the image projector")
    patched = model.clone()
    if settings.strength == 0:
        return patched
    tokens, null = encode(projector, vision, images)
    options = patched.model_options["transformer_options"]
    key = free_key(IMAGE_PROMPT, options)
    own = {
        "tokens": _sets(tokens, settings.batch), "null": _sets(null.expand_as(tokens), settings.batch),
        "strength": settings.strength, "by_frame": settings.by_frame, "start": settings.start, "end": settings.end,
        "levels": dict(settings.levels),
    }  # fmt: skip
    ImagePromptHooks(key).add_to(patched, projector.keys, own)
    return patched


def encode(projector: HostProjector, vision: Any, images: Tensor) -> tuple[Tensor, Tensor]:
    """Tokens of each picture `(n, g, m, d)` and of none `(1, g, m, d)`, for g groups of frames."""
    loaded = projector.loaded
    seen = states(vision, images, loaded)
    nothing = null_states(vision, seen, loaded)
    comfy.model_management.load_models_gpu([projector.patcher])
    device, dtype = projector.patcher.load_device, torch.float32
    with torch.inference_mode():
        made = loaded.network.projector(torch.cat([seen, nothing]).to(device, dtype))
        made = rearrange(made, "n (g m) d -> n g m d", g=loaded.frames)
    return made[:-1].cpu().clone(), made[-1:].cpu().clone()


def _sets(tokens: Tensor, batch: str) -> Tensor:
    """What pictures `(n, g, m, d)` are shown as: `(sets, g, m, d)`."""
    if batch == TOGETHER:
        return rearrange(tokens, "n g m d -> 1 g (n m) d")
    return tokens.mean(0, keepdim=True) if batch == AVERAGE else tokens


class ImagePromptHooks(HostEdit[ImageInputs]):
    """The hooks of one image prompt."""

    def __init__(self, key: str):
        super().__init__(key, "image prompt", ImageAttention)
        self._negative: set[Any] = set()

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        """Learns which conditions are negative: guiders with more than two hand them to the model in an order of their own."""
        before = self._negative
        conditions = getattr(executor.class_obj, "original_conds", {})
        negative = [one for name, held in conditions.items() if "negative" in name for one in held or ()]
        self._negative = {one["uuid"] for one in negative if "uuid" in one}
        try:
            return executor(*args, **kwargs)
        finally:
            self._negative = before

    def _nothing(self, options: Mapping[str, Any], chunks: Sequence[int]) -> list[bool]:
        """Which parts of a call are shown no picture."""
        names = options.get("uuids", ())
        if self._negative and len(names) == len(chunks):
            return [name in self._negative for name in names]
        return [chunk != 0 for chunk in chunks]

    def inputs(self, call: UnetCall) -> ImageInputs | None:
        own, options = call.own, call.options
        if not own:
            return None
        chunks = options.get("cond_or_uncond", (0,))
        part = frames_per_clip(call.x.shape[0], len(chunks), 0)
        numbers, length = numbering(options, part)
        strength = torch.tensor([own["by_frame"].at(number) if own["by_frame"] else 1.0 for number in numbers])
        active = self.active(call.unet, options)
        strength = own["strength"] * strength * (active.flatten().cpu() if isinstance(active, Tensor) else active)
        if not bool(strength.any()):
            return None
        same = bool((strength == strength[0]).all())
        tokens = torch.cat([own["tokens"], own["null"]])  # (sets, g, m, d), those of no picture last
        clip = clip_frames(options, part)
        rows = torch.cat([_rows(own["tokens"], nothing, numbers, clip, length) for nothing in self._nothing(options, chunks)])
        if tokens.shape[1] in (1, clip):
            sets = rearrange(tokens, "s g m d -> (s g) m d")
        else:  # DynamiCrafter's with another number of frames: every frame reads all of them
            sets = rearrange(tokens, "s g m d -> s (g m) d")
            rows = rows // tokens.shape[1]
        return ImageInputs(
            sets, rows, float(strength[0]) if same else strength.repeat(len(chunks)), host_attention(options), own["levels"]
        )


def _rows(tokens: Tensor, nothing: bool, numbers: list[int], clip: int, length: int | None) -> Tensor:
    """Which set each frame reads, counted through sets and groups of frames, `(f,)`.

    clip     frames that the model sees together: with as many groups, each frame has its own
    length   frames of the whole clip, over which pictures are shared out; None: one per frame, the last one holding on
    """
    count, groups = tokens.shape[:2]
    position = [index % clip if groups == clip else 0 for index in range(len(numbers))]
    picture = [min(max(number * count // length if length else number, 0), count - 1) for number in numbers]
    offset = count if nothing else 0
    return torch.tensor([(offset + which) * groups + place for which, place in zip(picture, position, strict=True)])
