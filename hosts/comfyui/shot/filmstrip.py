"""Messages to the editor's filmstrip about a shot, through the host's socket, to the page that queued it.

    {kind: "open", folder, resumed, frames, news}   a run begins: frames that exist already, why it is a new shot
    {kind: "base", step, steps}                     a sampling step of the clip before the first frame
    {kind: "frame", frame, frames, left}            frames finished (negative in the warm-up), their total, seconds left
    {kind: "look", number, picture}                 one finished frame as a JPEG in base64
    {kind: "done", resumed, frames}                 the run has ended without an error

each with the ids of node and workflow, because the page may show another workflow meanwhile. A shot does not depend on them.
"""

import base64
import logging
from collections.abc import Sequence
from io import BytesIO
from typing import Any

from PIL import Image

from ....shots.sinks import DecodedFrame
from ..progress import LARGEST_SIDE, NodeProgress, as_image

log = logging.getLogger(__name__)

EVENT = "zoetrope.shot"


class Filmstrip:
    """A `ProgressListener` that updates a `NodeProgress` and sends the filmstrip's messages."""

    def __init__(self, node_id: Any, workflow_id: str, frames: int):
        self._node_progress = NodeProgress(node_id, frames, lines=False)
        self._workflow, self._frames, self._resumed = workflow_id, frames, 0

    def _send(self, kind: str, **data: Any) -> None:
        self._node_progress.send(EVENT, {"workflow": self._workflow, "kind": kind, **data})

    def opening(self, folder: str, resumed: int, reason: Sequence[str]) -> None:
        self._resumed = resumed
        self._send("open", folder=folder, resumed=resumed, frames=self._frames, news=list(reason))

    def starting(self, step: int, steps: int) -> None:
        self._node_progress.starting(step, steps)
        self._send("base", step=step, steps=steps)

    def progress(self, frame: int, done: int, total: int, decoded: DecodedFrame | None, seconds_left: float) -> None:
        if decoded is not None:
            self._send("look", number=decoded.frame, picture=jpeg(decoded))
        self._send("frame", frame=frame, frames=self._frames, left=seconds_left)
        self._node_progress.progress(done, total, decoded.picture if decoded else None, 0.0)  # the strip shows the time left

    def closing(self, message: str) -> None:
        log.info("Zoetrope: %s", message)
        self._send("done", resumed=self._resumed, frames=self._frames)


def jpeg(decoded: DecodedFrame) -> str:
    """A frame as a JPEG in base64, no side longer than `LARGEST_SIDE`."""
    image = as_image(decoded.picture)
    image.thumbnail((LARGEST_SIDE, LARGEST_SIDE), Image.Resampling.LANCZOS)
    encoded = BytesIO()
    image.save(encoded, "JPEG", quality=85)
    return base64.b64encode(encoded.getvalue()).decode()
