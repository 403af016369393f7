"""Given frames in the host: a picture that a clip begins with, ends with or stays close to, as each family is shown it.

Families with further channels have a network of their own for them, whose features are added to the UNet's by hooks. Families
trained with a noise level per frame (our own) have the given frames in the clip itself, clean, at noise level zero.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import comfy.utils
import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ....models.backbones.unet import Site
from ....models.edits.features import FeatureEdit, as_added, check_guide_fit
from ....models.edits.temporal import frames_per_clip
from ....models.motion.frame_guide import AFFINITIES, GivenLatents, GuideDesign, pack
from ..call import (
    COUNTED,
    FRAMES,
    GUIDE,
    LENGTH,
    LEVELS,
    MOTION,
    clip_frames,
    frame_numbers,
    free_key,
    is_set,
    levels_of,
    numbering,
    wrap_call,
    wrap_model,
)
from ..latents import check_shape
from ..motion.apply import HostMotion
from ..patching import HostEdit, UnetCall, check_range
from ..regions import regions_of
from ..unet import unet_of, unet_places
from .per_frame import add_frames

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GuideSettings:
    """How given frames are shown."""

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    affinity: str = "small motion"

    def __post_init__(self) -> None:
        check_range(self.start, self.end)


@dataclass(frozen=True)
class GuideImages:
    """Pictures for the first and the last frames, `(n, h, w, c)` in [0, 1] each; None where there are none."""

    first: Tensor | None
    last: Tensor | None


def apply_guide(
    model: Any, motion: HostMotion, vae: Any, latent: Tensor, pictures: GuideImages, settings: GuideSettings
) -> Any:
    """A clone of MODEL that is shown the pictures, at the size of the latent `(f, c, h, w)` that will be sampled.

    Raises ValueError for a motion module that takes none, for no picture at all and for more pictures than frames.
    """
    guide = motion.report.variant.guide
    if guide is None:
        raise ValueError(
            f"{motion.report.file} is {motion.report.name}, which takes no given frames. PIA, AnimateLCM-I2V, DynamiCrafter "
            "512 and 1024, SEINE and Zoetrope's own do; for others use Image Prompt or SparseCtrl."
        )
    if pictures.first is None and pictures.last is None:
        raise ValueError("First/Last Frame Guide needs a picture; connect first, last or both")
    check_shape(latent)
    patched = _clone_that_fits(model, motion)
    if settings.strength == 0:
        return patched
    height, width = latent.shape[-2:]
    encoded = {
        name: _encode(model, vae, images, height, width)
        for name, images in (("first", pictures.first), ("last", pictures.last), ("grey", _grey(guide, height, width)))
        if images is not None
    }
    options = patched.model_options["transformer_options"]
    if guide.channels and is_set(GUIDE, options):
        raise ValueError("this MODEL has a First/Last Frame Guide already; connect first and last to one of them")
    key = free_key(GUIDE, options)
    own = {**encoded, "strength": settings.strength, "start": settings.start, "end": settings.end}
    _add_to(patched, motion, GivenFrames(key, guide), {**own, "affinity": AFFINITIES[settings.affinity]})
    return patched


def apply_keyframes(model: Any, motion: HostMotion, vae: Any, size: tuple[int, int]) -> tuple[Any, str]:
    """A clone of MODEL that takes key frames, and the key of its options: each call finds them there, as `given`.

    size   of a latent, h w
    Raises ValueError for a motion module that fills in no frames.
    """
    guide = motion.report.variant.guide
    if guide is None or guide.between == "no":
        raise ValueError(
            f"{motion.report.file} is {motion.report.name}, which fills in no frames. LaVie interpolation, SEINE, "
            "DynamiCrafter 512 and 1024, and Zoetrope's own do."
        )
    patched = _clone_that_fits(model, motion)
    options = patched.model_options["transformer_options"]
    if is_set(GUIDE, options):
        raise ValueError("this MODEL has a First/Last Frame Guide; Interpolate Frames shows it its own frames, so take it away")
    key, grey = free_key(GUIDE, options), _grey(guide, *size)
    own = {"grey": _encode(model, vae, grey, *size)} if grey is not None else {}
    usual = {"strength": 1.0, "start": 0.0, "end": 1.0, "affinity": AFFINITIES["small motion"]}
    _add_to(patched, motion, GivenFrames(key, guide), {**own, **usual})
    return patched, key


def _clone_that_fits(model: Any, motion: HostMotion) -> Any:
    """A clone of MODEL. Raises ValueError where the file's network for given frames does not fit its UNet."""
    if motion.guide is not None:
        check_guide_fit(motion.guide.model, unet_places(unet_of(model)).widths)
    return model.clone()


def _add_to(patched: Any, motion: HostMotion, frames: "GivenFrames", own: dict[str, Any]) -> None:
    if frames.guide.channels:
        ChannelEdit(frames, motion.guide.model).add_to(patched, motion.guide, own)
    else:
        patched.model_options["transformer_options"][frames.key] = own
        wrap_model(patched, WrappersMP.OUTER_SAMPLE, frames.key, CleanFrames(frames).sample)


def _grey(guide: GuideDesign, height: int, width: int) -> Tensor | None:
    return torch.full((1, 8 * height, 8 * width, 3), 0.5) if guide.elsewhere == "grey" else None


def _encode(model: Any, vae: Any, images: Tensor, height: int, width: int) -> Tensor:
    """Latents of pictures, cut about the middle to the shape of the frames, `(n, c, h, w)` as the UNet sees clean ones."""
    if images.ndim != 4 or len(images) == 0 or images.shape[-1] not in (3, 4):
        raise ValueError(f"image: expected at least one picture (n, h, w, 3 or 4), got {tuple(images.shape)}")
    side = getattr(vae, "spacial_compression_encode", lambda: 8)()
    fitted = images[..., :3]
    if fitted.shape[1:3] != (height * side, width * side):
        rgb = fitted.movedim(-1, 1)
        fitted = comfy.utils.common_upscale(rgb, width * side, height * side, "lanczos", "center").movedim(1, -1)
    parts = [vae.encode(one[None, :, :, :3]) for one in fitted]  # one by one: pictures are no clip
    return model.model.process_latent_in(torch.cat([part[:, :, 0] if part.ndim == 5 else part for part in parts])).float().cpu()


class GivenFrames:
    """Which frames of a clip are given: known when the clip's length is."""

    def __init__(self, key: str, guide: GuideDesign):
        self.key, self.guide = key, guide

    def of(self, own: Any, size: Sequence[int], length: int | None) -> GivenLatents:
        """size: height and width of the whole latent; length: of the clip, None in a shot without an end."""
        frames = dict(enumerate(own.get("first", ()))) | own.get("given", {})
        last = own.get("last")
        if last is not None and length:
            frames |= {length - len(last) + index: latent for index, latent in enumerate(last)}
        shape = tuple(next(iter(frames.values())).shape[-2:]) if frames else tuple(size)
        if shape != tuple(size):
            raise ValueError(
                f"First/Last Frame Guide was made for latents of {shape[1]}x{shape[0]}, the sampler works on "
                f"{size[1]}x{size[0]}. Connect the latent that is sampled to the guide as well."
            )
        return GivenLatents(frames, own["grey"][0] if "grey" in own else None, own["affinity"])

    def count(self, executor: Any, noise: Tensor, latent: Any, sampler: Any, *args: Any, **kwargs: Any) -> Any:
        """Refuses more pictures than frames before any model is loaded. A shot without an end has no last frame."""
        transformer_options = executor.class_obj.model_options["transformer_options"]
        own, clip = transformer_options.get(self.key, {}), clip_frames(transformer_options, len(noise))
        endless = getattr(sampler, "has_own_windows", False)
        if endless and "last" in own:
            log.warning("Zoetrope: a long shot is not made backwards from its end; the guide's last frame is not used")
        if not is_set(MOTION, transformer_options):
            log.warning("Zoetrope: First/Last Frame Guide is on a MODEL without motion; frames do not know of the given one")
        pictures = len(own.get("first", ())) + len(own.get("last", ()))
        if not endless and pictures > clip:
            raise ValueError(f"First/Last Frame Guide has {pictures} pictures for {clip} frames; give it fewer")
        return executor(noise, latent, sampler, *args, **kwargs)


class ChannelEdit(HostEdit[Mapping[Site, Tensor]]):
    """Further channels through the file's own network (DynamiCrafter, PIA, SEINE, AnimateLCM-I2V)."""

    uses_regions = True

    def __init__(self, frames: GivenFrames, network: Any):
        super().__init__(frames.key, "guide", FeatureEdit)
        self._frames, self._network = frames, network

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        return self._frames.count(executor, *args, **kwargs)

    def inputs(self, call: UnetCall) -> Mapping[Site, Tensor] | None:
        x, own = call.x, call.own
        part = frames_per_clip(x.shape[0], call.chunks, 0)
        active = self.active(call.unet, call.options)
        numbers, length = numbering(call.options, part)
        places = regions_of(call.options, call.chunks, x.shape[-2:])
        given = self._frames.of(own, places[0].whole, length) if own else None
        if given is None or not given.frames or not (bool(active.any()) if isinstance(active, Tensor) else active):
            return None
        packed = pack(self._frames.guide, given, numbers).to(x)
        strength = own["strength"] * (active.to(x)[..., None] if isinstance(active, Tensor) else active)
        made = {
            place: self._added(place.cut(packed), clip_frames(call.options, part), strength) for place in dict.fromkeys(places)
        }
        return {site: torch.cat([made[place][site] for place in places]) for site in made[places[0]]}

    def _added(self, channels: Tensor, clip: int, strength: float | Tensor) -> dict[Site, Tensor]:
        return as_added(self._network.features(channels, clip), strength)


class CleanFrames:
    """The given frames in the clip itself: they enter at noise level zero and are given back as they are."""

    def __init__(self, frames: GivenFrames):
        self._frames = frames

    def sample(self, executor: Any, noise: Tensor, latent: Any, sampler: Any, *args: Any, **kwargs: Any) -> Any:
        """Puts the frames in at every call of the model; frames have conditions of their own, as they differ in noise."""
        guider = executor.class_obj
        before = guider.model_options
        guider.model_options = wrap_call(add_frames(before), self._frames.key, self.calc)
        try:
            return self._frames.count(executor, noise, latent, sampler, *args, **kwargs)
        finally:
            guider.model_options = before

    def calc(self, executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
        transformer_options = options["transformer_options"]
        own = transformer_options.get(self._frames.key)
        if not own:
            return executor(model, conds, x, timestep, options, *more)
        numbers, length = numbering(transformer_options, len(x))
        given = self._frames.of(own, x.shape[-2:], length)
        own_levels = levels_of(timestep, x)
        levels = own_levels.clone()
        rows = [
            (row, number)
            for row, (number, level) in enumerate(zip(numbers, levels.tolist(), strict=True))
            if number in given.frames and _within(model, own, level)
        ]
        if not rows:
            return executor(model, conds, x, timestep, options, *more)
        x, kept, strength = x.clone(), {row: given.frames[number].to(x) for row, number in rows}, min(1.0, own["strength"])
        lowest = _lowest_level(model.model_sampling, levels)
        for row, latent in kept.items():
            x[row] = torch.lerp(x[row], latent, strength)
            levels[row] = (levels[row] * (1 - strength)).clamp(min=lowest)
        transformer_options = {**transformer_options, LEVELS: own_levels}
        if FRAMES not in transformer_options:
            transformer_options |= {FRAMES: frame_numbers(transformer_options, len(x)), LENGTH: length, COUNTED: True}
        halves = executor(model, conds, x, levels, {**options, "transformer_options": transformer_options}, *more)
        for half in halves:
            for row, latent in kept.items():
                half[row] = torch.lerp(half[row], latent, strength)
        return halves


def _lowest_level(sampling: Any, like: Tensor) -> float:
    """The noise level that stands for clean frames: 0, or the smallest one where time is the logarithm of the level (EDM)."""
    return 0.0 if bool(sampling.timestep(like.new_zeros(1)).isfinite().all()) else float(sampling.sigma_min)


def _within(model: Any, own: Any, level: float) -> bool:
    """Whether a noise level is in the guide's range of the sampling."""
    at = model.model_sampling.percent_to_sigma
    return level <= at(own["start"]) and (own["end"] == 1 or level > at(own["end"]))
