"""Moving previews: while an ordinary sampler samples a clip, the editor gets its current clean prediction as a small clip.

    {node, workflow, frames, columns, sheet}   the clip's frames row by row as one JPEG in base64, of the latent's size each

The host's preview has the first frame alone. Pictures are the host's linear function of latents, without a VAE. They are sent
at most every half second and take at most 2 % of the sampling time. The host's preview method `none` and the page's setting
switch them off, and they are not computed where another pack has moving previews.
"""

import base64
import logging
import math
import time
from collections.abc import Mapping
from io import BytesIO
from typing import Any

import torch
from comfy.cli_args import LatentPreviewMethod, args
from comfy.patcher_extension import WrappersMP
from einops import rearrange
from PIL import Image
from torch import Tensor

from .call import PREVIEWS, clip_frames, wrap_model
from .progress import NodeProgress, PageRun, page_run

log = logging.getLogger(__name__)

EVENT = "zoetrope.preview"
SETTING = "Zoetrope.Panels.MovingPreviews"
"""Id of the page's setting; on by default."""
OTHER_PACKS = ("VHS.LatentPreview",)
"""Ids of settings of other packs that replace the host's previews by moving ones; off by default."""

EVERY = 0.5
"""Least seconds between two previews."""
SHARE = 0.02
"""Largest share of the sampling time."""
MOST_FRAMES = 16
LARGEST_SIDE = 128
"""Pixels of a frame; the page enlarges it."""


def add_previews(patched: Any) -> None:
    """Adds previews to a MODEL whose batch is a clip. A MODEL that has them stays as it is."""
    if PREVIEWS not in patched.wrappers.get(WrappersMP.SAMPLER_SAMPLE, {}):
        wrap_model(patched, WrappersMP.SAMPLER_SAMPLE, PREVIEWS, _sample)


def _sample(executor: Any, guider: Any, sigmas: Any, extra_args: Any, callback: Any, *more: Any, **kwargs: Any) -> Any:
    """A SAMPLER_SAMPLE wrapper: makes previews after the host's callback. Samplers of long shots have panels of their own."""
    if callback is not None and not getattr(executor.class_obj, "has_own_windows", False):
        options = extra_args.get("model_options", {}).get("transformer_options", {})
        callback = _followed(callback, Previews(guider.model_patcher.model.latent_format, options))
    return executor(guider, sigmas, extra_args, callback, *more, **kwargs)


def _followed(callback: Any, previews: "Previews") -> Any:
    def both(step: int, clean: Any, *more: Any) -> None:
        callback(step, clean, *more)
        previews.after_step(clean)

    return both


class Previews:
    """Previews of one run of a sampler."""

    def __init__(self, latent_format: Any, options: Mapping[str, Any]):
        """latent_format: the host's description of the latents; options: `transformer_options`."""
        self._format, self._options = latent_format, options
        self._begin = self._last_end = time.perf_counter()
        self._spent = self._last = 0.0
        self._run: PageRun | None = None
        self._checked = self._failed = False

    def after_step(self, clean: Any) -> None:
        """Sends a preview of the clean prediction where one is due. An error is logged once and ends the previews."""
        now = time.perf_counter()
        if self._failed or now - self._last_end < EVERY or self._spent + self._last > SHARE * (now - self._begin):
            return
        try:
            self._send(clean)
        except Exception:  # noqa: BLE001  previews depend on much of the host, and none is worth a run
            self._failed = True
            log.warning("Zoetrope: moving previews failed and are off until the sampler has finished", exc_info=True)
        self._last_end = time.perf_counter()
        self._last = self._last_end - now
        self._spent += self._last

    def _send(self, clean: Any) -> None:
        if not self._checked:
            self._checked, self._run = True, _wanted()
        if self._run is None or getattr(self._format, "latent_rgb_factors", None) is None:
            return
        latents = frames_of(clean, self._options)
        if len(latents) > 1:
            pictures = pictures_of(latents, self._format)
            columns = math.ceil(math.sqrt(len(pictures)))
            data = {"frames": len(pictures), "columns": columns, "sheet": sheet_of(pictures, columns)}
            NodeProgress(self._run.node, 0).send(EVENT, {"workflow": self._run.workflow, **data})


def _wanted() -> PageRun | None:
    """The running node; None where its previews are switched off."""
    if args.preview_method == LatentPreviewMethod.NoPreviews:
        return None
    run = page_run()
    if run is None or not run.settings.get(SETTING, True) or any(run.settings.get(name) for name in OTHER_PACKS):
        return None
    return run


def frames_of(clean: Tensor, options: Mapping[str, Any]) -> Tensor:
    """At most `MOST_FRAMES` frames `(f, c, h, w)` of the first clip, evenly spaced.

    clean   `(b f) c h w`, or of video models b c f h w
    """
    frames = clean[0].movedim(1, 0) if clean.ndim == 5 else clean[: clip_frames(options, len(clean))]
    if len(frames) <= MOST_FRAMES:
        return frames
    return frames[torch.linspace(0, len(frames) - 1, MOST_FRAMES).round().long().to(frames.device)]


def pictures_of(latents: Tensor, latent_format: Any) -> Tensor:
    """8-bit pictures `(f, h, w, 3)` of latents `(f, c, h, w)`, no side longer than `LARGEST_SIDE`."""
    latents = latents.float()
    reshape = getattr(latent_format, "latent_rgb_factors_reshape", None)
    if reshape is not None:
        latents = reshape(latents)
    shrunk = LARGEST_SIDE / max(latents.shape[-2:])
    if shrunk < 1:
        size = [max(1, round(side * shrunk)) for side in latents.shape[-2:]]
        latents = torch.nn.functional.interpolate(latents, size, mode="area")
    factors = torch.tensor(latent_format.latent_rgb_factors).to(latents)  # c 3
    bias = torch.tensor(getattr(latent_format, "latent_rgb_factors_bias", None) or [0.0, 0.0, 0.0]).to(latents)
    pictures = rearrange(latents, "f c h w -> f h w c") @ factors + bias
    return ((pictures + 1) * 127.5).round().clamp(0, 255).byte().cpu()


def sheet_of(pictures: Tensor, columns: int) -> str:
    """Pictures `(f, h, w, 3)` row by row as one JPEG in base64."""
    rows = math.ceil(len(pictures) / columns)
    padded = torch.cat([pictures, pictures.new_zeros(rows * columns - len(pictures), *pictures.shape[1:])])
    sheet = Image.fromarray(rearrange(padded, "(r q) h w c -> (r h) (q w) c", r=rows).numpy())
    encoded = BytesIO()
    sheet.save(encoded, "JPEG", quality=90, subsampling=0)
    return base64.b64encode(encoded.getvalue()).decode()
