"""Full video checkpoints: image UNet, text encoder and VAE as the host's classes, temporal layers as a motion module."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import comfy.ops
import comfy.sd
import folder_paths
from torch import Tensor

from ....models.errors import WrongFile
from ....models.image_prompt.loading import projector_of
from ....models.layers.strength import is_zero
from ....models.motion.loading import OpenedFile, Parts, open_file
from ..conditioning.image_prompt import HostProjector, host_projector
from ..motion.apply import HostMotion, Settings, apply, host_motion
from ..motion.schedule import set_rescale, set_schedule
from ..rebuild import dynamic_choice, rebuilt_by

log = logging.getLogger(__name__)

PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text": "cond_stage_model."}
"""The host's key prefixes of the parts of a checkpoint."""

PARTS = {"model": ("unet",), "clip": ("unet", "text"), "vae": ("unet", "vae")}
"""Parts of a file that the host needs to load a part: it recognises the model by the UNet."""


@dataclass(frozen=True)
class VideoCheckpoint:
    """The parts of a video checkpoint; None for those that it does not have."""

    model: Any
    clip: Any
    vae: Any
    motion: HostMotion | None
    projector: HostProjector | None
    """Its image projector."""

    def clip_and_vae(self, clip: Any, vae: Any) -> tuple[Any, Any]:
        """The file's CLIP and VAE, or the given ones where it has none."""
        return (self.clip if self.clip is not None else clip), (self.vae if self.vae is not None else vae)


def load_checkpoint(path: str, settings: Settings, rescale: float | None = None) -> VideoCheckpoint:
    """Loads a MODEL with the file's temporal layers applied, CLIP and VAE where the file has them, and the motion module.

    rescale   share of guidance rescale; None: the family's
    Raises WrongFile where the file has temporal layers only, or is of a kind that a loader of the host loads.
    """
    opened = open_file(path, comfy.ops.manual_cast)
    report = opened.report
    if report.variant.whole:
        raise WrongFile(f"{report.file}: this is a {report.title} checkpoint; {report.variant.whole} loads it")
    if "unet" not in opened.parts:
        raise WrongFile(
            f"{report.file}: this file has temporal layers only ({report.name}); load it with Load Motion Module and apply it "
            "to a checkpoint with Apply Motion Module"
        )
    model, clip, vae = through_the_host(_weights, path, opened)
    motion = host_motion(opened, path)
    if report.lacks:
        log.info("Zoetrope: %s has no %s; connect another checkpoint's", report.file, " and no ".join(report.lacks))
    patched = apply(model, motion, replace(settings, prediction=report.variant.prediction))
    if is_zero(settings.strength):  # the file's image model was trained with this schedule too
        set_schedule(patched, report.variant, report.variant.prediction, settings.scaled)
    set_rescale(patched, report.variant.rescale if rescale is None else rescale)
    return VideoCheckpoint(patched, clip, vae, motion, _projector(opened, path))


def _weights(path: str, opened: OpenedFile | None = None) -> dict[str, Tensor]:
    """The image model in a file under the keys of full checkpoints.

    A text encoder that is stored with a vision tower (`vision`) is left out: the host does not support it in a checkpoint.
    """
    parts: Parts = (opened or open_file(path, comfy.ops.manual_cast)).parts
    return {prefix + key: value.contiguous() for part, prefix in PREFIXES.items() for key, value in parts.get(part, {}).items()}


def _projector(opened: OpenedFile, path: str) -> HostProjector | None:
    projector, image = opened.parts.get("projector"), opened.parts.get("image", {})
    if not projector:
        return None
    return host_projector(projector_of(opened.report.file, projector, image, comfy.ops.manual_cast), _reload_projector, path)


def _reload_projector(path: str) -> HostProjector:
    projector = _projector(open_file(path, comfy.ops.manual_cast), path)
    assert projector, "the file had a projector when it was first loaded"
    return projector


def through_the_host(weights: Callable[..., dict[str, Tensor]], path: str, *opened: Any) -> tuple[Any, Any, Any]:
    """MODEL, and CLIP and VAE where present, from tensors with the keys of full checkpoints, loaded by the host.

    weights   function that returns the tensors for a path and, to avoid reading it twice, for what was read already
    """
    model, clip, vae = _load_with_host(weights(path, *opened), path)
    rebuilt_by(model, _reload_part, "model", weights, path)
    for part, loaded in (("clip", clip), ("vae", vae)):
        rebuilt_by(loaded and loaded.patcher, _reload_part, part, weights, path)
    return model, clip, vae


def _load_with_host(weights: dict[str, Tensor], path: str, disable_dynamic: bool = False) -> tuple[Any, Any, Any]:
    load = comfy.sd.load_state_dict_guess_config
    loaded = load(
        weights,
        output_vae=any(key.startswith(PREFIXES["vae"]) for key in weights),
        output_clip=any(key.startswith(PREFIXES["text"]) for key in weights),
        embedding_directory=folder_paths.get_folder_paths("embeddings"),
        **dynamic_choice(load, disable_dynamic),
    )
    if not loaded or loaded[0] is None:
        raise WrongFile(f"{Path(path).name}: ComfyUI does not recognise the image UNet of this file; update ComfyUI")
    model, clip, vae, _ = loaded
    return model, clip, vae


def _reload_part(part: str, weights: Callable[..., dict[str, Tensor]], path: str, disable_dynamic: bool = False) -> Any:
    """The patcher of one part, loaded once more."""
    needed = tuple(PREFIXES[name] for name in PARTS[part])
    model, clip, vae = _load_with_host({k: v for k, v in weights(path).items() if k.startswith(needed)}, path, disable_dynamic)
    return {"model": model, "clip": clip and clip.patcher, "vae": vae and vae.patcher}[part]
