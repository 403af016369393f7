"""Writing of videos: H.264 in MP4, frame by frame, complete or not at all."""

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import torch
from einops import rearrange
from torch import Tensor

from .encoder import Encoder
from .rate import exact_rate
from .whole_file import begun, not_written, whole


def write_video(path: str | Path, frames: Iterable[Tensor], fps: float | Fraction, joinable: bool = False) -> int:
    """Writes an MP4 for any player (H.264, yuv420p) and returns the number of frames.

    frames  pictures `(3, h, w)` in [0, 1], all of one even size; one at a time, so that a shot need not fit into memory
    fps     frames per second, more than 0; rounded rates such as 23.976 as in `exact_rate`
    joinable   without B-frames, so that files can be joined
    The file is tagged with colour matrix (BT.709 for HD, BT.601 below), primaries, transfer and range. It is renamed into place
    when it is complete; an error or an interrupt leaves nothing behind.
    Raises ValueError for no frames and for sizes that H.264 does not support, OSError where the file cannot be written, if
    possible before the first frame.
    """
    with VideoWriter(path, fps, joinable) as writer:
        for frame in frames:
            writer.add(frame)
    return writer.count


class VideoWriter:
    """As `write_video`, frame by frame, as a context: the file is complete after the block."""

    def __init__(self, path: str | Path, fps: float | Fraction, joinable: bool = False):
        self._path, self._rate, self._joinable = Path(path), exact_rate(fps), joinable
        self._encoder: Encoder | None = None
        self._size: tuple[int, ...] = ()
        self.count = 0
        """Number of frames added."""

    def __enter__(self) -> "VideoWriter":
        self._place = whole(self._path)
        self._unfinished = self._place.__enter__()
        begun(self._unfinished, self._path)
        return self

    def add(self, frame: Tensor) -> None:
        """Adds a picture `(3, h, w)` in [0, 1] of the size of the first."""
        if self._encoder is None:
            self._size = tuple(frame.shape[-2:])
            self._encoder = self._opened()
        elif tuple(frame.shape[-2:]) != self._size:
            got = _text_of(tuple(frame.shape[-2:]))
            raise ValueError(f"frame {self.count}: expected {_text_of(self._size)} like the first, got {got}")
        pixels = (frame.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu()
        if not self._encoder.add(rearrange(pixels, "c h w -> h w c").contiguous().numpy()):
            raise self._failed(f"frame {self.count} of {_text_of(self._size)} could not be written")
        self.count += 1

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                self._finish()
        except BaseException as failure:
            self._stop()
            self._place.__exit__(type(failure), failure, failure.__traceback__)
            raise
        self._stop()
        self._place.__exit__(*error)

    def _opened(self) -> Encoder:
        h, w = self._size
        if h % 2 or w % 2:
            raise ValueError(f"frame size: H.264 needs even sides, got {_text_of((h, w))}; crop or pad by one pixel")
        return Encoder(self._unfinished, (w, h), self._rate, self._joinable)

    def _finish(self) -> None:
        """Closes the encoder and counts its frames: it is another process, and may fail after the last frame was sent."""
        if self._encoder is None:
            raise ValueError("a video needs at least one frame, got none")
        self._encoder.close()
        written = _frames_in(self._unfinished)
        if written != self.count:
            raise self._failed(f"only {written} of {self.count} frames were written")

    def _stop(self) -> None:
        if self._encoder is not None:
            self._encoder.close()
            self._encoder.forget()

    def _failed(self, what: str) -> OSError:
        assert self._encoder
        self._encoder.close()
        return not_written(self._path, what, self._encoder.words())


def _frames_in(path: Path) -> int:
    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    except RuntimeError:
        return 0
    return written or 0


def _text_of(size: tuple[int, ...] | None) -> str:
    h, w = size or (0, 0)
    return f"{w}x{h}"
