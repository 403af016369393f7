"""The process that encodes: imageio-ffmpeg's FFmpeg, told everything as fractions and tags."""

import subprocess
import sys
import tempfile
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from .display import is_hd

CRF = 10
"""x264's constant rate factor: 0 is lossless, 18 looks so."""
WORDS = 400
"""Letters of FFmpeg's own words that an error quotes, counted from the end."""


def colour_tags(width: int, height: int) -> tuple[str, str]:
    """(matrix as swscale calls it, the same as H.273 does) of what is written in a size.

    It is the one that players take for granted in that size, so that those agree that read no tags.
    """
    return ("bt709", "bt709") if is_hd(width, height) else ("bt601", "smpte170m")


class Encoder:
    """Takes pictures as bytes, rgb24 row by row, and makes an H.264 file of them (yuv420p, limited range, tagged)."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, joinable: bool):
        """size: width and height"""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  closed in _ended
        quiet: dict[str, Any] = {"start_new_session": True}  # an interrupt is for us, who then end it
        if sys.platform == "win32":
            quiet = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
        try:
            command = [imageio_ffmpeg.get_ffmpeg_exe(), *_arguments(path, size, rate, joinable)]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said, **quiet
            )
        except (RuntimeError, OSError) as error:
            self._said.close()
            raise OSError(f"no video encoder: {error}; install imageio-ffmpeg anew, or set IMAGEIO_FFMPEG_EXE") from error

    def add(self, pixels: Any) -> bool:
        """A picture; False where the encoder has ended by itself."""
        assert self._process.stdin
        try:
            self._process.stdin.write(pixels)
        except OSError:
            return False
        return True

    def finish(self) -> str:
        """Waits for the file; FFmpeg's own words where it failed, else an empty text."""
        assert self._process.stdin
        with suppress(OSError):  # it has ended by itself: its words say why
            self._process.stdin.close()
        code = self._process.wait()
        return self._ended() or f"FFmpeg ended with code {code}" if code else ""

    def stop(self) -> None:
        """Ends the process without a file."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()
        self._said.close()

    def _ended(self) -> str:
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace")
        return " ".join(said.split())[-WORDS:]


def _arguments(path: Path, size: tuple[int, int], rate: Fraction, joinable: bool) -> list[str]:
    scale, matrix = colour_tags(*size)
    tags = f"range=tv:colorspace={matrix}:color_primaries=bt709:color_trc=bt709"
    filters = f"scale=out_color_matrix={scale}:out_range=tv:flags=bicubic+accurate_rnd,format=yuv420p,setparams={tags},setsar=1"
    return [
        "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-framerate", str(rate),
        "-i", "-", "-an", "-vf", filters, "-c:v", "libx264", "-crf", str(CRF), *(["-bf", "0"] if joinable else []),
        "-colorspace", matrix, "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
        "-movflags", "+faststart", f"file:{path}",
    ]  # fmt: skip
