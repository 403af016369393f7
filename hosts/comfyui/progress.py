"""Progress of long runs: a bar in frames, the newest picture, time left, and a line of text under the node."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import comfy.utils
import numpy as np
from comfy.cli_args import args
from comfy_execution.utils import get_executing_context
from einops import rearrange
from PIL import Image
from torch import Tensor

from ...shots.plan import in_words

log = logging.getLogger(__name__)

LARGEST_SIDE = 512
PREVIEW_EVERY = 1.0
"""Seconds between previews of frames that are being written."""


class NodeProgress:
    """Progress bar, preview and text line of one node."""

    def __init__(self, node_id: Any, frames: int, lines: bool = True):
        """frames: expected number; lines: whether to show progress as text under the node too; not where a panel shows it."""
        self._node_id, self._frames, self._lines = node_id, frames, lines
        self._bar: Any = None
        self._picture: Any = None
        self._newest: Tensor | None = None

    def expect(self, frames: int) -> None:
        """Sets the expected number of frames."""
        self._frames = frames

    def starting(self, step: int, steps: int) -> None:
        if self._lines:
            self.show_text(f"first clip, step {step} of {steps}")
        self._update(step, steps)

    def progress(self, done: int, total: int, picture: Tensor | None, seconds_left: float) -> None:
        """Updates bar, preview and text; raises the host's interrupt. picture: the newest frame `(3, h, w)` in [0, 1]."""
        if picture is not None:
            self._picture = as_image(picture)
        if self._lines:
            left = f", {in_words(seconds_left)} left" if seconds_left else ""
            self.show_text(where(self._frames - (total - done), self._frames) + left)
        self._update(done, total)

    def _update(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = comfy.utils.ProgressBar(total, node_id=self._node_id)
        self._bar.update_absolute(done, total, ("JPEG", self._picture, LARGEST_SIDE) if self._picture else None)

    def counted(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Passes frames through and updates the progress every `PREVIEW_EVERY` seconds."""
        started, last_preview = time.monotonic(), 0.0
        for done, frame in enumerate(frames, 1):
            yield frame
            passed = time.monotonic() - started
            if passed - last_preview > PREVIEW_EVERY or done == self._frames:
                last_preview = passed
                self.progress(done, self._frames, frame, passed / done * (self._frames - done))

    def rounds(self, done: int, total: int, seconds: float, earlier: int = 0, note: str = "") -> None:
        """Updates the progress of work that is counted in other units than frames.

        seconds   time since the run began, which did what `earlier` runs had not done
        note      added to the line
        """
        if self._newest is not None:
            self._picture, self._newest = as_image(self._newest), None
        left = seconds / (done - earlier) * (total - done) if earlier < done < total else 0.0
        share = f"{min(100, 100 * done // max(1, total))} %"
        self.show_text(share + (f", {in_words(left)} left" if left else "") + (f"; {note}" if note else ""))
        self._update(min(done, total), total)

    def previewed(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Passes frames through; the newest one is the preview of the next update."""
        for frame in frames:
            self._newest = frame
            yield frame

    def note(self, text: str) -> None:
        """Writes a note about the result to the log, and shows it under the node."""
        log.warning("Zoetrope: %s", text)
        self.show_text(text)

    def show_text(self, text: str) -> None:
        """Shows a line under the node, where a server is running."""
        server = _server()
        if server is not None and self._node_id is not None:
            server.send_progress_text(text, self._node_id)

    def send(self, event: str, data: dict[str, Any]) -> None:
        """Sends a message with the node's id to the page that queued this run; does nothing where there is none."""
        page = getattr(_server(), "client_id", None)
        if page is not None and self._node_id is not None:
            _server().send_sync(event, {"node": str(self._node_id), **data}, page)


@dataclass(frozen=True)
class PageRun:
    """The running node of a workflow that a page of the editor has queued."""

    node: str
    """Id in the queued graph, such as `5:12` for node 12 inside the subgraph that is node 5."""
    workflow: str
    settings: Mapping[str, Any]
    """The user's settings that differ from the defaults; empty on a server with several users, whose page is unknown."""


def page_run() -> PageRun | None:
    """The running node; None outside a server, and where a script has queued the graph, not a page."""
    context, server = get_executing_context(), _server()
    if context is None or getattr(server, "client_id", None) is None:
        return None
    running, _ = server.prompt_queue.get_current_queue_volatile()
    queued = next((extra for _, prompt, _, extra, *_ in running if prompt == context.prompt_id), {})
    workflow = ((queued.get("extra_pnginfo") or {}).get("workflow") or {}).get("id")
    settings = {} if args.multi_user else server.user_manager.settings.get_settings(None)
    return PageRun(str(context.node_id), str(workflow), settings) if workflow else None


def where(frame: int, frames: int) -> str:
    """`frame 12 of 96`, or during the warm-up (frame 0 and below) the remaining iterations."""
    return f"frame {frame} of {frames}" if frame > 0 else f"warming up, {1 - frame} to go"


def as_image(picture: Tensor) -> Image.Image:
    """An 8-bit image of a picture `(3, h, w)` in [0, 1]; tiny ones are enlarged."""
    pixels = (rearrange(picture, "c h w -> h w c").clamp(0, 1) * 255).round().byte().numpy()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    factor = max(1, 256 // max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _server() -> Any:
    try:
        from server import PromptServer
    except ImportError:
        return None
    return getattr(PromptServer, "instance", None)
