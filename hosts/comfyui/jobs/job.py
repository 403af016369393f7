"""A stage of a cascade in ComfyUI: from the frames of a clip or file to a video file, computed once for the same settings."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ....shots.cache import Stage, file_digest
from ....shots.folder import ShotFolder, journal_for
from ....shots.journal import Journal, Scalar, Sizes
from ....video.frames.colour import along
from ....video.io.sound import add_sound
from ....video.io.write import write_video
from ..api import VideoFromFile
from ..fingerprint import digest, model_settings, weights
from ..motion.apply import HostMotion
from ..output_path import output_place
from ..progress import NodeProgress
from ..vae.video import InputClip, clip_of, stream_of

log = logging.getLogger(__name__)

VERSION = 2
"""Incremented when a change of the code makes other pictures of the same settings."""


@dataclass(frozen=True)
class FinishedStage:
    """The video file of a finished stage."""

    path: Path
    subfolder: str


class Job:
    """One run of a node that writes a video file from a video."""

    def __init__(self, node_id: Any, images: Any, filename_prefix: str, fps: float, factor: int = 1):
        """images: IMAGE or VIDEO; fps: frames per second of the new video, 0: the input's times factor. Raises ValueError."""
        self.clip: InputClip = clip_of(images, all_of_it=True)
        self.fps: float | Fraction = fps or self.clip.fps * factor
        if self.fps <= 0:
            raise ValueError("fps: expected more than 0, got 0; the input frames have no rate, so set one")
        self.node_progress = NodeProgress(node_id, 0)
        self.resumed = 0
        """Number of frames that earlier runs finished."""
        self._images, self._source = images, ""
        self._place = output_place(filename_prefix)

    def run(
        self,
        make: Callable[[Iterable[Tensor]], Iterable[Tensor]],
        total: int,
        settings: Mapping[str, Any],
        counted: bool = True,
    ) -> FinishedStage:
        """Writes the frames that `make` computes from the clip's, or finds an existing file of the same settings.

        total     expected number of frames, for the progress bar
        counted   whether the bar counts written frames; else `make` updates it
        """
        recorded = self.recorded({**settings, "fps": float(self.fps)})
        stage = Stage(self._place.folder, self._place.name, recorded)
        done = stage.done()
        if done:
            self.node_progress.note(f"{done.name} already exists with these settings; it is used again")
            return FinishedStage(done, self._place.subfolder)
        for line in stage.reason():
            log.info("Zoetrope: %s", line)
        path = stage.fresh()
        self.node_progress.expect(total)
        frames = make(self.clip.frames)
        count = write_video(path, self.node_progress.counted(frames) if counted else frames, self.fps)
        silent = self._add_sound(path)
        stage.note(path)
        resumed = f", {self.resumed} of them finished earlier" if self.resumed else ""
        self.node_progress.show_text(f"{count} frames at {float(self.fps):g} per second{resumed}{silent}")
        return FinishedStage(path, self._place.subfolder)

    def recorded(self, settings: Mapping[str, Any]) -> dict[str, Scalar]:
        """Settings as plain values and digests, with the source's."""
        plain = (bool, int, float, str)
        digests = {name: value if isinstance(value, plain) else digest(value) for name, value in settings.items()}
        self._source = self._source or source_digest(self._images)
        return {**digests, "source": self._source, "version": VERSION}

    @property
    def folder(self) -> Path:
        """Folder of the video."""
        return self._place.folder

    def journal(self, sizes: Sizes, settings: Mapping[str, Any], made_with: Mapping[str, Scalar]) -> Journal:
        """The journal of an unfinished run with these settings, or a new one, beside the videos of this name."""
        place = ShotFolder(self._place.folder, f"{self._place.name}_unfinished")
        return journal_for(place, sizes, self.recorded(settings), made_with)[0]

    def _add_sound(self, path: Path) -> str:
        """Adds the clip's sound; returns a note where that fails, because the frames are still of use."""
        if not self.clip.audio:
            return ""
        try:
            add_sound(path, self.clip.audio["waveform"][0], int(self.clip.audio["sample_rate"]))
        except (ValueError, OSError) as error:
            log.warning("Zoetrope: %s has no sound: %s", path.name, error)
            return f"; without sound ({error})"
        return ""


def finished_earlier(frames: int) -> str:
    """A note on the frames that earlier runs finished; empty without any."""
    return f"{frames} frames were finished earlier" if frames else ""


def settings_of(model: Any, vae: Any, conditions: Mapping[str, Any], node: str) -> dict[str, Scalar]:
    """Digests of the model, VAE and conditioning of a stage."""
    named = {name: digest(value) for name, value in conditions.items()}
    return {"node": node, **model_settings(model), "vae": weights(vae.patcher), **named}


def of_motion(motion: HostMotion) -> dict[str, Scalar]:
    """Digest of a motion module's network for given frames."""
    return {"guide": digest([motion.report.variant.guide, motion.guide and weights(motion.guide)])}


def source_digest(images: Any) -> str:
    """Digest of an IMAGE or VIDEO."""
    if isinstance(images, Tensor):
        return digest(images)
    if not isinstance(images, VideoFromFile):
        parts = images.get_components()
        return digest([parts.images, float(parts.frame_rate), parts.audio])
    source, part = stream_of(images)
    content = file_digest(Path(source)) if isinstance(source, str | Path) else digest(source.getvalue())
    return f"{content} from {part.start:g} for {part.seconds:g}"


def coloured(images: Tensor, reference: Tensor, method: str) -> Tensor:
    """IMAGE `(f, h, w, 3 or 4)` with the colours of a reference; alpha is not changed."""
    reference = reference[..., :3].to(images)
    matched = along(images[..., :3].movedim(-1, 1), reference.movedim(-1, 1), method).movedim(1, -1)
    return torch.cat([matched, images[..., 3:]], dim=-1)
