"""Given frames in ComfyUI: pictures that a clip begins with, ends with or stays close to, as each family takes them.

Families with further input channels have a network for these, whose features are added to the UNet's by hooks. In families that
are trained with a noise level per frame (Zoetrope's) given frames replace rows of the clip, at noise level zero.
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
from ..latents import check_shape, side_of
from ..motion.apply import HostMotion
from ..patching import HostEdit, UnetCall, check_range
from ..regions import regions_of
from ..unet import unet_of, unet_places
from .per_frame import add_frames

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GuideSettings:
    """Strength, range and affinity of given frames."""

    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    affinity: str = "small motion"

    def __post_init__(self) -> None:
        check_range(self.start, self.end)


@dataclass(frozen=True)
class GuideImages:
    """Pictures of the first and the last frames, `(n, h, w, c)` in [0, 1] each, or None."""

    first: Tensor | None
    last: Tensor | None


def apply_guide(
    model: Any, motion: HostMotion, vae: Any, latent: Tensor, pictures: GuideImages, settings: GuideSettings
) -> Any:
    """A clone of MODEL with given frames, encoded at the size of the latent `(f, c, h, w)` that will be sampled.

    Raises ValueError for a motion module without given frames, for no picture, and for a MODEL or a latent that does not fit.
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
    encoded = {}
    for name, images in (("first", pictures.first), ("last", pictures.last), ("grey", _grey(guide, height, width))):
        if images is not None:
            encoded[name] = encode_pictures(model, vae, images, height, width)
    options = patched.model_options["transformer_options"]
    if guide.channels and is_set(GUIDE, options):
        raise ValueError("this MODEL has a First/Last Frame Guide already; connect first and last to one of them")
    key = free_key(GUIDE, options)
    entry = {**encoded, "strength": settings.strength, "start": settings.start, "end": settings.end}
    _add_to(patched, motion, GivenFrames(key, guide), {**entry, "affinity": AFFINITIES[settings.affinity]})
    return patched


def apply_keyframes(model: Any, motion: HostMotion, vae: Any, size: tuple[int, int]) -> tuple[Any, str]:
    """A clone of MODEL that takes key frames, and the key of its options, which get them at each call as `given`.

    size   of a latent, h w
    Raises ValueError for a motion module that cannot interpolate frames.
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
        raise ValueError("this MODEL has a First/Last Frame Guide, but Interpolate Frames sets its given frames; remove it")
    key, grey = free_key(GUIDE, options), _grey(guide, *size)
    entry = {"grey": encode_pictures(model, vae, grey, *size)} if grey is not None else {}
    settings = {"strength": 1.0, "start": 0.0, "end": 1.0, "affinity": AFFINITIES["small motion"]}
    _add_to(patched, motion, GivenFrames(key, guide), {**entry, **settings})
    return patched, key


def _clone_that_fits(model: Any, motion: HostMotion) -> Any:
    """A clone of MODEL. Raises ValueError where the file's network for given frames does not fit its UNet."""
    if motion.guide is not None:
        check_guide_fit(motion.guide.model, unet_places(unet_of(model)).widths)
    return model.clone()


def _add_to(patched: Any, motion: HostMotion, frames: "GivenFrames", entry: dict[str, Any]) -> None:
    if frames.guide.channels:
        ChannelEdit(frames, motion.guide.model).add_to(patched, motion.guide, entry)
    else:
        patched.model_options["transformer_options"][frames.key] = entry
        wrap_model(patched, WrappersMP.OUTER_SAMPLE, frames.key, CleanFrames(frames).sample)


def _grey(guide: GuideDesign, height: int, width: int) -> Tensor | None:
    return torch.full((1, 8 * height, 8 * width, 3), 0.5) if guide.elsewhere == "grey" else None


def encode_pictures(model: Any, vae: Any, images: Tensor, height: int, width: int) -> Tensor:
    """Scaled latents `(n, c, h, w)` of pictures, cropped at the centre to the frames' aspect; float32 on the CPU."""
    if images.ndim != 4 or len(images) == 0 or images.shape[-1] not in (3, 4):
        raise ValueError(f"image: expected at least one picture (n, h, w, 3 or 4), got {tuple(images.shape)}")
    side = side_of(vae)
    fitted = images[..., :3]
    if fitted.shape[1:3] != (height * side, width * side):
        rgb = fitted.movedim(-1, 1)
        fitted = comfy.utils.common_upscale(rgb, width * side, height * side, "lanczos", "center").movedim(1, -1)
    parts = [vae.encode(picture[None, :, :, :3]) for picture in fitted]  # one by one: a video VAE would take them as a clip
    return model.model.process_latent_in(torch.cat([part[:, :, 0] if part.ndim == 5 else part for part in parts])).float().cpu()


class GivenFrames:
    """The given frames of a clip, by absolute number once the clip's length is known."""

    def __init__(self, key: str, guide: GuideDesign):
        self.key, self.guide = key, guide

    def of(self, entry: Any, size: Sequence[int], length: int | None) -> GivenLatents:
        """Given latents by frame number. size: height and width of the full latent; length: of the clip, None if endless.

        Raises ValueError where the latents were encoded at another size.
        """
        frames = dict(enumerate(entry.get("first", ()))) | entry.get("given", {})
        last = entry.get("last")
        if last is not None and length:
            frames |= {length - len(last) + index: latent for index, latent in enumerate(last)}
        shape = tuple(next(iter(frames.values())).shape[-2:]) if frames else tuple(size)
        if shape != tuple(size):
            raise ValueError(
                f"First/Last Frame Guide was made for latents of {shape[1]}x{shape[0]}, the sampler works on "
                f"{size[1]}x{size[0]}. Connect the latent that is sampled to the guide as well."
            )
        return GivenLatents(frames, entry["grey"][0] if "grey" in entry else None, entry["affinity"])

    def count(self, executor: Any, noise: Tensor, latent: Any, sampler: Any, *args: Any, **kwargs: Any) -> Any:
        """An OUTER_SAMPLE wrapper. Raises ValueError for more pictures than frames, before any model is loaded."""
        transformer_options = executor.class_obj.model_options["transformer_options"]
        entry, clip = transformer_options.get(self.key, {}), clip_frames(transformer_options, len(noise))
        endless = getattr(sampler, "has_own_windows", False)
        if endless and "last" in entry:
            log.warning("Zoetrope: a long shot has no last frame; the guide's last frame is not used")
        if not is_set(MOTION, transformer_options):
            log.warning("Zoetrope: First/Last Frame Guide is on a MODEL without motion; other frames ignore the given ones")
        pictures = len(entry.get("first", ())) + len(entry.get("last", ()))
        if not endless and pictures > clip:
            raise ValueError(f"First/Last Frame Guide has {pictures} pictures for {clip} frames; give it fewer")
        return executor(noise, latent, sampler, *args, **kwargs)


class ChannelEdit(HostEdit[Mapping[Site, Tensor]]):
    """Given frames through further input channels and the file's network (DynamiCrafter, PIA, SEINE, AnimateLCM-I2V)."""

    uses_regions = True

    def __init__(self, frames: GivenFrames, network: Any):
        super().__init__(frames.key, "guide", FeatureEdit)
        self._frames, self._network = frames, network

    def sample(self, executor: Any, *args: Any, **kwargs: Any) -> Any:
        return self._frames.count(executor, *args, **kwargs)

    def inputs(self, call: UnetCall) -> Mapping[Site, Tensor] | None:
        x, entry = call.x, call.entry
        part = frames_per_clip(x.shape[0], call.chunks, 0)
        active = self.active(call.unet, call.options)
        numbers, length = numbering(call.options, part)
        regions = regions_of(call.options, call.chunks, x.shape[-2:])
        given = self._frames.of(entry, regions[0].whole, length) if entry else None
        is_active = bool(active.any()) if isinstance(active, Tensor) else active
        if given is None or not given.frames or not is_active:
            return None
        packed = pack(self._frames.guide, given, numbers).to(x)
        strength = entry["strength"] * (active.to(x)[..., None] if isinstance(active, Tensor) else active)
        clip, features = clip_frames(call.options, part), {}
        for region in dict.fromkeys(regions):
            features[region] = self._added(region.cut(packed), clip, strength)
        return {site: torch.cat([features[region][site] for region in regions]) for site in features[regions[0]]}

    def _added(self, channels: Tensor, clip: int, strength: float | Tensor) -> dict[Site, Tensor]:
        return as_added(self._network.features(channels, clip), strength)


class CleanFrames:
    """Given frames as rows of the clip, for families with a noise level per frame: clean at noise level zero."""

    def __init__(self, frames: GivenFrames):
        self._frames = frames

    def sample(self, executor: Any, noise: Tensor, latent: Any, sampler: Any, *args: Any, **kwargs: Any) -> Any:
        """An OUTER_SAMPLE wrapper: adds `calc` for the run, and conditions per frame, as noise levels differ by frame."""
        guider = executor.class_obj
        before = guider.model_options
        guider.model_options = wrap_call(add_frames(before), self._frames.key, self.calc)
        try:
            return self._frames.count(executor, noise, latent, sampler, *args, **kwargs)
        finally:
            guider.model_options = before

    def calc(self, executor: Any, model: Any, conds: Any, x: Tensor, timestep: Tensor, options: Any, *more: Any) -> Any:
        """A CALC_COND_BATCH wrapper: replaces the given frames in x and in the predictions."""
        transformer_options = options["transformer_options"]
        entry = transformer_options.get(self._frames.key)
        if not entry:
            return executor(model, conds, x, timestep, options, *more)
        numbers, length = numbering(transformer_options, len(x))
        given = self._frames.of(entry, x.shape[-2:], length)
        sampler_levels = levels_of(timestep, x)
        levels = sampler_levels.clone()
        latents: dict[int, Tensor] = {}
        for row, (number, level) in enumerate(zip(numbers, levels.tolist(), strict=True)):
            if number in given.frames and _within(model, entry, level):
                latents[row] = given.frames[number].to(x)
        if not latents:
            return executor(model, conds, x, timestep, options, *more)
        x, strength = x.clone(), min(1.0, entry["strength"])
        lowest = _lowest_level(model.model_sampling, levels)
        for row, latent in latents.items():
            x[row] = torch.lerp(x[row], latent, strength)
            levels[row] = (levels[row] * (1 - strength)).clamp(min=lowest)
        transformer_options = {**transformer_options, LEVELS: sampler_levels}
        if FRAMES not in transformer_options:
            transformer_options |= {FRAMES: frame_numbers(transformer_options, len(x)), LENGTH: length, COUNTED: True}
        halves = executor(model, conds, x, levels, {**options, "transformer_options": transformer_options}, *more)
        for half in halves:
            for row, latent in latents.items():
                half[row] = torch.lerp(half[row], latent, strength)
        return halves


def _lowest_level(sampling: Any, like: Tensor) -> float:
    """The noise level of clean frames: 0, or the lowest one of models whose time is the logarithm of the level (EDM)."""
    return 0.0 if bool(sampling.timestep(like.new_zeros(1)).isfinite().all()) else float(sampling.sigma_min)


def _within(model: Any, entry: Any, level: float) -> bool:
    """Whether a noise level is in the guide's range of the sampling."""
    at = model.model_sampling.percent_to_sigma
    return level <= at(entry["start"]) and (entry["end"] == 1 or level > at(entry["end"]))
