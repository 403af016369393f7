"""H.264 encoder: imageio-ffmpeg with exact frame rates, colour tags and FFmpeg's error messages."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg

from .display import is_hd

QUALITY = 8
"""imageio-ffmpeg's scale, 1 to 10."""
WORDS = 400
"""Most characters of FFmpeg's message in an error."""
WHERE = re.compile(r"\[[^\]]*@ 0x[0-9a-f]+\] *")
"""Prefix of FFmpeg's messages."""


def colour_tags(width: int, height: int) -> tuple[str, str]:
    """(name in swscale, name in H.273) of the colour matrix of videos that are written in a size.

    It is the default of players for that size, so that players that ignore tags agree.
    """
    return ("bt709", "bt709") if is_hd(width, height) else ("bt601", "smpte170m")


class Encoder:
    """Encodes rgb24 pictures to an H.264 file (yuv420p, limited range, tagged)."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, joinable: bool):
        """Starts FFmpeg. size: width and height. Raises OSError where it cannot be started."""
        handle, name = tempfile.mkstemp(suffix=".log", prefix="zoetrope-")
        os.close(handle)
        self._report = Path(name)
        approximate: Any = float(rate)  # a float, though the stub has int
        self._frames = imageio_ffmpeg.write_frames(
            str(path), size, fps=approximate, codec="libx264", pix_fmt_out="yuv420p", quality=QUALITY, macro_block_size=2,
            input_params=["-r", str(rate)],  # the last one counts; versions before 0.7 write two decimals of `fps`
            output_params=_output(size, joinable), ffmpeg_log_level="error",
        )  # fmt: skip
        try:
            with _reporting_to(self._report):
                self._frames.send(None)
        except (RuntimeError, OSError) as error:
            self.close()
            raise OSError(f"no video encoder: {error}; install imageio-ffmpeg again, or set IMAGEIO_FFMPEG_EXE") from error

    def add(self, pixels: Any) -> bool:
        """Encodes a picture. Returns False where FFmpeg has ended early."""
        try:
            self._frames.send(pixels)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Waits until the file is written. May be called again."""
        self._frames.close()

    def words(self) -> str:
        """FFmpeg's error message, after the end; empty without one. Removes its report, so a second call returns nothing."""
        report = self._report.read_text("utf-8", "replace") if self._report.exists() else ""
        self.forget()
        lines = report.partition("Command line:\n")[2].splitlines()[1:] or report.splitlines()
        return " ".join(" ".join(WHERE.sub("", line) for line in lines).split())[:WORDS]

    def forget(self) -> None:
        """Removes FFmpeg's report."""
        with suppress(OSError):
            self._report.unlink()


@contextmanager
def _reporting_to(path: Path) -> Iterator[None]:
    """Context in which FFmpeg is started with a report file: imageio-ffmpeg does not return its messages."""
    before = os.environ.get("FFREPORT")
    os.environ["FFREPORT"] = "file=" + path.as_posix().replace(":", "\\:") + ":level=16"
    try:
        yield
    finally:
        if before is None:
            del os.environ["FFREPORT"]
        else:
            os.environ["FFREPORT"] = before


def _output(size: tuple[int, int], joinable: bool) -> list[str]:
    scale, matrix = colour_tags(*size)
    tags = f"range=tv:colorspace={matrix}:color_primaries=bt709:color_trc=bt709"
    filters = f"scale=out_color_matrix={scale}:out_range=tv:flags=bicubic+accurate_rnd,format=yuv420p,setparams={tags},setsar=1"
    return [
        "-vf", filters, "-colorspace", matrix, "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv",
        *(["-bf", "0"] if joinable else []), "-movflags", "+faststart",
    ]  # fmt: skip
