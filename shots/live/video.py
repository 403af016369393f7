"""Video of a live shot: frames are decoded as soon as they are finished, and written to segments in a thread of their own."""

import os
import queue
import threading
from pathlib import Path

from torch import Tensor

from ...video.io.write import VideoWriter

WAITING = 128
"""Frames that wait for the encoder; then the shot waits too."""


class SegmentWriter:
    """Writes consecutive frames to the segment files of a shot's video, `video_00000.mp4` and so on.

    A segment that the run began in the middle of is left out, and one whose file exists is not written again: both are made
    from the stored latents when the parts are joined.
    """

    def __init__(self, folder: Path, fps: float, segment: int):
        self._folder, self._fps, self._segment = folder, fps, segment
        self._queue: queue.Queue[tuple[int, Tensor] | None] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._writer: VideoWriter | None = None
        self._thread = threading.Thread(target=self._work, name="zoetrope-live-writer", daemon=True)
        self._thread.start()

    def add(self, frame: int, pictures: Tensor) -> None:
        """Adds pictures `(n, 3, h, w)` in [0, 1], the first with number `frame`. Raises the error of an earlier one."""
        for number, picture in enumerate(pictures, frame):
            self._check()
            self._queue.put((number, picture))

    def close(self) -> None:
        """Completes the last file; raises the first error."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._check()

    def _check(self) -> None:
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def _work(self) -> None:
        try:
            self._write_all()
        except BaseException as error:  # noqa: BLE001  raised in the caller's thread
            self._error = error
            while self._queue.get() is not None:  # so that the caller never waits for a full queue
                pass

    def _write_all(self) -> None:
        number = -1
        try:
            while (one := self._queue.get()) is not None:
                number, picture = one
                if number % self._segment == 0 and not self._path(number // self._segment).exists():
                    self._writer = VideoWriter(self._open_path, self._fps, joinable=True).__enter__()
                if self._writer:
                    self._writer.add(picture)
                if number % self._segment == self._segment - 1:
                    self._finish(self._path(number // self._segment))
            self._finish(self._path(number // self._segment, number % self._segment + 1))
        except BaseException as error:
            if self._writer:
                self._writer.__exit__(type(error), error, error.__traceback__)
            raise

    def _finish(self, path: Path) -> None:
        if self._writer:
            self._writer.__exit__(None, None, None)
            os.replace(self._open_path, path)
        self._writer = None

    @property
    def _open_path(self) -> Path:
        return self._folder / "segment.mp4"

    def _path(self, number: int, frames: int = 0) -> Path:
        """Path of a segment, or of its first frames, as `videos.VideoSink` names them."""
        return self._folder / f"video_{number:05}{f'_{frames:03}' if frames else ''}.mp4"
