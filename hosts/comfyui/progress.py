"""What a long run tells its artist: a bar in frames, the newest picture, time left, and a line of text under the node."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import Any

import comfy.utils
import numpy as np
from einops import rearrange
from PIL import Image
from torch import Tensor

from ...shots.plan import in_words

log = logging.getLogger(__name__)

LARGEST_SIDE = 512
LOOK_EVERY = 1.0
"""Seconds between looks at frames that are being written."""


class NodeProgress:
    """Speaks for one node."""

    def __init__(self, node_id: Any, frames: int, lines: bool = True):
        """lines: whether progress stands under the node as text too; not where a panel of ours has it."""
        self._node_id, self._frames, self._lines = node_id, frames, lines
        self._bar: Any = None
        self._picture: Any = None

    def expect(self, frames: int) -> None:
        """How many there will be, about."""
        self._frames = frames

    def starting(self, step: int, steps: int) -> None:
        if self._lines:
            self.say(f"first clip, step {step} of {steps}")
        self._update(step, steps)

    def progress(self, done: int, total: int, picture: Tensor | None, seconds_left: float) -> None:
        """picture: the newest one (3, h, w). Ticks are points at which an interrupt is noticed as well."""
        if picture is not None:
            self._picture = as_image(picture)
        if self._lines:
            left = f", {in_words(seconds_left)} left" if seconds_left else ""
            self.say(where(self._frames - (total - done), self._frames) + left)
        self._update(done, total)

    def _update(self, done: int, total: int) -> None:
        if self._bar is None:
            self._bar = comfy.utils.ProgressBar(total, node_id=self._node_id)
        self._bar.update_absolute(done, total, ("JPEG", self._picture, LARGEST_SIDE) if self._picture else None)

    def watched(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """Frames on their way to a file, with a look at one of them every now and then."""
        started, frame_decoded = time.monotonic(), 0.0
        for done, frame in enumerate(frames, 1):
            yield frame
            passed = time.monotonic() - started
            if passed - frame_decoded > LOOK_EVERY or done == self._frames:
                frame_decoded = passed
                self.progress(done, self._frames, frame, passed / done * (self._frames - done))

    def note(self, text: str) -> None:
        """What an artist should know about the result: to the log, and under the node."""
        log.warning("Zoetrope: %s", text)
        self.say(text)

    def say(self, text: str) -> None:
        """A line under the node, where a server is running."""
        server = _server()
        if server is not None and self._node_id is not None:
            server.send_progress_text(text, self._node_id)

    def send(self, event: str, data: dict[str, Any]) -> None:
        """A message to the page that queued this run, if one did; `data` gets the node's id."""
        page = getattr(_server(), "client_id", None)
        if page is not None and self._node_id is not None:
            _server().send_sync(event, {"node": str(self._node_id), **data}, page)


def where(frame: int, frames: int) -> str:
    """`frame 12 of 96`; before frame 0 comes out, how long the warm-up still takes."""
    return f"frame {frame} of {frames}" if frame > 0 else f"warming up, {1 - frame} to go"


def as_image(picture: Tensor) -> Image.Image:
    """A picture `(3, h, w)` as 8 bits, tiny ones enlarged."""
    pixels = (rearrange(picture, "c h w -> h w c").clamp(0, 1) * 255).round().byte().numpy()
    image = Image.fromarray(np.ascontiguousarray(pixels))
    factor = max(1, 256 // max(image.size))  # tiny pictures are shown large enough to see
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _server() -> Any:
    try:
        from server import PromptServer
    except ImportError:
        return None
    return getattr(PromptServer, "instance", None)
