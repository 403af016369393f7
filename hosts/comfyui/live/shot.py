"""Live shots in ComfyUI: one run of a node until the source ends, Interrupt, or there are enough frames."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....sampling.live import SimilarityFilter
from ....shots.cache import file_digest
from ....shots.folder import ShotFolder
from ....shots.journal import Journal, Scalar
from ....shots.live.control import ControlFile
from ....shots.live.files import live_journal, replay
from ....shots.live.host import LiveSettings
from ....shots.live.input import from_feed
from ....shots.live.run import LiveRun, LiveShot
from ....video.io.read import Part
from ....video.live.feed import feeding
from ....video.live.sources import PictureFolder, VideoFile
from ..environment import made_with
from ..fingerprint import digest, model_settings, weights
from ..shot.inputs import ShotInputs
from .host import ComfyLive
from .panel import LivePanel


@dataclass(frozen=True)
class LiveRequest:
    """Settings of a live shot, besides those of its queue."""

    fps: float
    """Frames per second of the video; 0: those of a video source, else 8."""
    frames: int = 0
    video: tuple[Any, Part] | None = None
    """File of the source, or bytes in memory, and its part that is used."""
    folder: Path | None = None
    paced: bool = False
    control: Path | None = None
    at_once: bool = False
    similarity: float = 0.0
    fresh: bool = False
    """Whether to begin a new shot in any case."""
    record: bool = True


def source_of(request: LiveRequest, size: tuple[int, int], start: int = 0) -> VideoFile | PictureFolder:
    """The source of a request. Raises ValueError without one."""
    if request.video is not None:
        file, part = request.video
        return VideoFile(file, size, request.paced, start, part)
    if request.folder is None:
        raise ValueError("source: connect a video, or set folder to a folder in ComfyUI's input folder")
    return PictureFolder(request.folder, size)


def settings_of(inputs: ShotInputs, request: LiveRequest) -> dict[str, Scalar]:
    """Settings that the latents depend on besides those of the queue, by the names that users see."""
    return {
        **model_settings(inputs.model), **{name: digest(conds) for name, conds in inputs.guider.original_conds.items()},
        "VAE": weights(inputs.vae.patcher), "size": f"{inputs.latent[2]}x{inputs.latent[1]} latent pixels",
        "source": _identity(request.video),
        **({"similarity": request.similarity} if request.similarity else {}),
    }  # fmt: skip


def _identity(video: tuple[Any, Part] | None) -> str:
    """Digest of a video and its part; "folder" without one."""
    if video is None:
        return "folder"
    file, part = video
    path = isinstance(file, str | Path)
    digest_of_file = file_digest(Path(file)) if path else f"sha256:{hashlib.sha256(file.getbuffer()).hexdigest()}"
    return digest_of_file if part == Part() else digest([digest_of_file, part.start, part.seconds])


def run_live(
    inputs: ShotInputs, settings: LiveSettings, request: LiveRequest, host: ComfyLive, place: ShotFolder, side: int,
    panel: LivePanel,
) -> LiveShot:  # fmt: skip
    """Runs a live shot, or goes on with the newest one that has the same settings. side: pixels per latent pixel."""
    size = (inputs.latent[2] * side, inputs.latent[1] * side)
    source = source_of(request, size)
    fps = request.fps or (source.check() if isinstance(source, VideoFile) else 8.0)
    made = made_with(inputs.model, inputs.vae)
    journal, _ = live_journal(place, settings, inputs.latent, settings_of(inputs, request), made, request.fresh)
    control = ControlFile(request.control, request.at_once) if request.control else None
    run = LiveRun(journal, settings, host, panel, fps, request.frames, request.record, control, _decoding(host))
    panel.opening(f"{journal.folder.parent.name}/{journal.folder.name}", run.resumed)
    keeps = SimilarityFilter(request.similarity, seed=settings.seed).keeps if request.similarity else None
    source = source_of(request, size, run.place.source + 1)
    block = settings.layout.block
    with feeding(source, block, keeps) as feed, from_feed(feed, host.encode, block, ahead=False) as entering:
        shot = run.run(entering)
    panel.closing(shot.frames, shot.resumed)
    return shot


def replay_live(
    inputs: ShotInputs, settings: LiveSettings, request: LiveRequest, host: ComfyLive, place: ShotFolder, record: Path,
    panel: LivePanel,
) -> LiveShot:  # fmt: skip
    """Computes a recorded live shot again, in a new folder, and compares the bits."""
    journal = Journal.open(record)
    others: dict[str, Scalar] = {**settings_of(inputs, request), "source": journal.settings.get("source")}
    if "similarity" in journal.settings:
        others["similarity"] = journal.settings["similarity"]

    def run_of(target: Journal, frames: int) -> LiveRun:
        panel.opening(f"{target.folder.parent.name}/{target.folder.name}", 0)
        return LiveRun(target, settings, host, panel, request.fps or 8.0, frames, video=_decoding(host))

    found = replay(journal, place, settings, others, made_with(inputs.model, inputs.vae), run_of)
    panel.closing(found.shot.frames, 0)
    elsewhere = f", made elsewhere: {', '.join(found.differences)}" if found.differences else ""
    panel.note(f"replay: {'the same bits as' if found.same else 'other bits than'} the record{elsewhere}")
    return found.shot


def _decoding(host: ComfyLive) -> Mapping[str, Scalar]:
    return host.settings()
