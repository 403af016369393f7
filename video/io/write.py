"""Clips to playable files: H.264 in MP4, written frame by frame, whole or not at all."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import torch
from einops import rearrange
from torch import Tensor

from .whole_file import whole

QUALITY = 8
"""imageio-ffmpeg's scale, 1 to 10."""


def write_video(path: str | Path, frames: Iterable[Tensor], fps: float, joinable: bool = False) -> int:
    """Writes an MP4 that every player takes (H.264, yuv420p) and returns the number of frames.

    frames  pictures `(3, h, w)` in [0, 1], all of one even size; taken one at a time, so a shot need not fit into memory
    fps     frames per second, more than 0
    joinable   without frames that are predicted from later ones, so that files can be put one after the other
    The file appears under its name when it is whole; an error or an interrupt leaves nothing behind.
    Raises ValueError for no frames and for sizes that H.264 cannot take, OSError where the disk is full.
    """
    with VideoWriter(path, fps, joinable) as writer:
        for frame in frames:
            writer.add(frame)
    return writer.count


class VideoWriter:
    """The same, frame by frame, as a context: the file appears when the block ends well."""

    def __init__(self, path: str | Path, fps: float, joinable: bool = False):
        if fps <= 0:
            raise ValueError(f"fps: expected more than 0, got {fps}")
        self._path, self._fps, self._joinable = Path(path), fps, joinable
        self._encoder: Any = None
        self._size: tuple[int, ...] = ()
        self.count = 0
        """Frames that were added."""

    def __enter__(self) -> "VideoWriter":
        self._place = whole(self._path)
        self._unfinished = self._place.__enter__()
        return self

    def add(self, frame: Tensor) -> None:
        """A picture `(3, h, w)` in [0, 1], of the size of the first."""
        if self._encoder is None:
            self._size = tuple(frame.shape[-2:])
            self._encoder = _open(self._unfinished, self._size, self._fps, self._joinable)
        elif tuple(frame.shape[-2:]) != self._size:
            got = _say(tuple(frame.shape[-2:]))
            raise ValueError(f"frame {self.count}: expected {_say(self._size)} like the first, got {got}")
        pixels = (frame.detach().clamp(0, 1) * 255).round().to(torch.uint8).cpu()
        try:
            self._encoder.send(rearrange(pixels, "c h w -> h w c").contiguous().numpy())
        except OSError as error:
            raise OSError(f"{self._path.parent}: frame {self.count} could not be written; is the disk full?") from error
        self.count += 1

    def __exit__(self, *error: Any) -> None:
        try:
            if self._encoder is not None:
                self._encoder.close()
            if error[0] is None:
                if self.count == 0:
                    raise ValueError("a video needs at least one frame, got none")
                _check(self._unfinished, self._path, self.count)
        except BaseException as own:
            self._place.__exit__(type(own), own, own.__traceback__)
            raise
        self._place.__exit__(*error)


def _open(path: Path, size: tuple[int, ...] | None, fps: float, joinable: bool):  # noqa: ANN202  a generator without a public name
    h, w = size or (0, 0)
    if h % 2 or w % 2:
        raise ValueError(f"frame size: H.264 takes even sides only, got {_say((h, w))}; crop or pad by one pixel")
    rate: Any = fps  # any number, whatever its stub says
    writer = imageio_ffmpeg.write_frames(
        str(path), (w, h), fps=rate, codec="libx264", pix_fmt_out="yuv420p", quality=QUALITY, macro_block_size=2,
        output_params=["-movflags", "+faststart", *(["-bf", "0"] if joinable else [])], ffmpeg_log_level="error",
    )  # fmt: skip
    try:
        writer.send(None)
    except RuntimeError as error:
        raise OSError(f"no video encoder: {error}") from error
    return writer


def _check(unfinished: Path, path: Path, count: int) -> None:
    """The encoder is another process and may have failed after the last frame was sent."""
    try:
        written, _ = imageio_ffmpeg.count_frames_and_secs(str(unfinished))
    except RuntimeError:
        written = 0
    if written != count:
        raise OSError(f"{path.name}: only {written} of {count} frames were written; is the disk full?")


def _say(size: tuple[int, ...] | None) -> str:
    h, w = size or (0, 0)
    return f"{w}x{h}"
