"""Endless shots in ComfyUI: sampled in rounds through any guider, decoded between rounds, written while sampling."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

import torch

from ....sampling.layout import FifoLayout
from ....shots.folder import ShotFolder, journal_for
from ....shots.journal import SEGMENT, Scalar, Sizes
from ....shots.record import Recording, Shot
from ..dit.conditions import check_conditions
from ..dit.model import clip_frames_in, dit_of
from ..environment import made_with
from ..fingerprint import digest, model_settings
from ..latents import frames_in
from ..sampling.layouts import layout_for
from .inputs import ShotInputs, ShotRequest
from .sampler import ProgressListener, ShotSampler


def prepare(guider: Any, vae: Any, latent: dict[str, Any]) -> tuple[ShotInputs, ShotRequest]:
    """Inputs and default settings of a shot, which continues the latents unless they are empty.

    With a noise mask they are the shot's first frames instead. Raises ValueError for latents that do not fit the model, and for
    video models and conditions that need one noise level per clip.
    """
    model = guider.model_patcher
    if dit_of(model):
        check_conditions(guider.original_conds)
        samples = clip_frames_in(latent, model)
    else:
        samples = frames_in(latent, model)
    c, h, w = samples.shape[1:]
    mask = latent.get("noise_mask")
    return ShotInputs(guider, vae, (c, h, w)), ShotRequest(
        given=samples if bool(samples.any()) or mask is not None else None, mask=mask
    )


def shape_for(inputs: ShotInputs, request: ShotRequest) -> FifoLayout:
    """Layout of the queue for the model's noise schedule. Raises ValueError for what a video transformer does not have."""
    absent = {
        "keyframes": (request.keyframes is not None, "its latents are of several frames; set first frames in the latent"),
        "loop": (request.loop, "its first latent is a single frame, so the end cannot meet it"),
        "strength_by_frame": (request.schedules.strength is not None, "it has no motion module"),
    }
    for name, (given, reason) in absent.items():
        if inputs.is_clip and given:
            raise ValueError(f"{name}: not available with this MODEL: {reason}")
    return layout_for(inputs.model, request.queue, request.sigmas)


def make_shot(
    inputs: ShotInputs, request: ShotRequest, place: ShotFolder, listener: ProgressListener
) -> tuple[Shot, list[str]]:
    """Makes a shot in a new folder, or continues one that has the same settings.

    Returns the shot, and the differences from the last shot of this name if it could not be continued (else an empty list).
    """
    shape = shape_for(inputs, request)
    sizes = Sizes(shape.places, SEGMENT, inputs.latent)
    sampler = ShotSampler(inputs, request, shape, listener)  # raises for settings that do not fit
    video, made = sampler.settings(), made_with(inputs.model, inputs.vae)
    journal, reason = journal_for(place, sizes, settings_of(inputs, request, shape), made, apart=(*video, "fps"))
    sampler.resume(journal)
    recording = Recording(journal, sampler, request.frames, request.fps, tail=len(shape.sigmas), video=video)
    listener.opening(f"{journal.folder.parent.name}/{journal.folder.name}", recording.resumed, reason)
    if recording.next_frame is not None:  # earlier frames may be decoded before the first step
        sampler.progress.begun(recording.next_frame)
    with closing(recording):
        for decoded in recording:
            sampler.progress.frame_decoded(decoded)
    return recording.shot, reason


def settings_of(inputs: ShotInputs, request: ShotRequest, shape: FifoLayout) -> Mapping[str, Scalar]:
    """All settings that the latents depend on, by the names that users see; the number of frames is not one."""
    plain = {name: value for name, value in vars(inputs.guider).items() if isinstance(value, bool | int | float | str)}
    models = {n: one for n, one in vars(inputs.guider).items() if one is not inputs.model and hasattr(one, "model_options")}
    return {
        **model_settings(inputs.model),
        "guider": type(inputs.guider).__name__,
        **plain,
        **{f"{owner}: {name}": value for owner, one in models.items() for name, value in model_settings(one).items()},
        **{name: digest(conds) for name, conds in inputs.guider.original_conds.items()},
        "seed": request.seed,
        "width and height": f"{inputs.latent[2]}x{inputs.latent[1]} latent pixels",
        "noise levels": digest(torch.cat([torch.tensor([shape.last]), shape.sigmas])),
        **request.queue.settings(shape),
        "cfg by frame": str(request.schedules.cfg),
        "motion strength by frame": str(request.schedules.strength),
        "frames to go on after": digest(request.given),
        **({"noise mask": digest(request.mask)} if request.mask is not None else {}),
        **(request.keyframes.settings() if request.keyframes else {}),
        **({"closed loop of frames": request.frames} if request.loop else {}),
        **(request.anchor.digests() if request.anchor else {}),
    }
