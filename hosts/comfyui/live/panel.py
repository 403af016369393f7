"""Progress of a live shot: messages to the filmstrip of the page that queued it, and a line under the node.

Besides the messages of `shot.filmstrip`: {kind: "live", frame, fps, delay, dropped} about the newest frame.
"""

import logging
import time
from typing import Any

import comfy.model_management
from torch import Tensor

from ....shots.live.host import LiveFigures
from ....shots.sinks import DecodedFrame
from ..progress import NodeProgress
from ..shot.filmstrip import EVENT, jpeg

log = logging.getLogger(__name__)

PICTURES = 10.0
"""Most pictures per second that are sent."""
LINES = 0.5
"""Seconds between two updates of the line."""


class LivePanel:
    """Implements `shots.live.host.LiveListener`."""

    def __init__(self, node_id: Any, workflow_id: str):
        self._node, self._workflow = NodeProgress(node_id, 0), workflow_id
        self._next_picture = self._next_line = 0.0
        self._note = ""
        self.notes: list[str] = []
        """The last messages."""

    def _send(self, kind: str, **data: Any) -> None:
        self._node.send(EVENT, {"workflow": self._workflow, "kind": kind, **data})

    def opening(self, folder: str, resumed: int) -> None:
        self._send("open", folder=folder, resumed=resumed, frames=0, news=[])

    def shown(self, frame: int, pictures: Tensor) -> None:
        """Sends the newest of the frames, as far as the rate allows."""
        now = time.monotonic()
        if now >= self._next_picture:
            self._next_picture = now + 1 / PICTURES
            number = frame + len(pictures) - 1
            self._send("look", number=number, picture=jpeg(DecodedFrame(number, pictures[-1].float().cpu())))

    def figures(self, figures: LiveFigures) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        now = time.monotonic()
        if now >= self._next_line:
            self._next_line = now + LINES
            self._send("live", frame=figures.frames, fps=figures.fps, delay=figures.delay, dropped=figures.dropped)
            self._node.show_text(figures.text() + (f"; {self._note}" if self._note else ""))

    def note(self, text: str) -> None:
        log.info("Zoetrope: %s", text)
        self._note, self.notes = text, [*self.notes[-15:], text]
        self._next_line = 0.0

    def closing(self, frames: int, resumed: int) -> None:
        self._send("done", resumed=resumed, frames=frames)
