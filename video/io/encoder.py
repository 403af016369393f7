"""The encoder: imageio-ffmpeg's, told rates as fractions and colours as tags, and asked for its words where it fails."""

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
"""Letters of FFmpeg's own words that an error quotes."""
WHERE = re.compile(r"\[[^\]]*@ 0x[0-9a-f]+\] *")
"""What FFmpeg puts before its words."""


def colour_tags(width: int, height: int) -> tuple[str, str]:
    """(matrix as swscale calls it, the same as H.273 does) of what is written in a size.

    It is the one that players take for granted in that size, so that those agree that read no tags.
    """
    return ("bt709", "bt709") if is_hd(width, height) else ("bt601", "smpte170m")


class Encoder:
    """Takes pictures as bytes, rgb24 row by row, and makes an H.264 file of them (yuv420p, limited range, tagged)."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, joinable: bool):
        """size: width and height. Raises OSError where there is no encoder."""
        handle, name = tempfile.mkstemp(suffix=".log", prefix="zoetrope-")
        os.close(handle)
        self._report = Path(name)
        about: Any = float(rate)  # any number, whatever its stub says
        self._frames = imageio_ffmpeg.write_frames(
            str(path), size, fps=about, codec="libx264", pix_fmt_out="yuv420p", quality=QUALITY, macro_block_size=2,
            input_params=["-r", str(rate)],  # the last one counts; versions before 0.7 write two decimals of `fps`
            output_params=_output(size, joinable), ffmpeg_log_level="error",
        )  # fmt: skip
        try:
            with _reporting_to(self._report):
                self._frames.send(None)
        except (RuntimeError, OSError) as error:
            self.close()
            raise OSError(f"no video encoder: {error}; install imageio-ffmpeg anew, or set IMAGEIO_FFMPEG_EXE") from error

    def add(self, pixels: Any) -> bool:
        """A picture; False where the encoder has ended by itself."""
        try:
            self._frames.send(pixels)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Waits for the file; nothing the second time."""
        self._frames.close()

    def words(self) -> str:
        """What FFmpeg said about an error, after the end; empty where it said nothing. The second time there is nothing."""
        said = self._report.read_text("utf-8", "replace") if self._report.exists() else ""
        self.forget()
        lines = said.partition("Command line:\n")[2].splitlines()[1:] or said.splitlines()
        return " ".join(" ".join(WHERE.sub("", line) for line in lines).split())[:WORDS]

    def forget(self) -> None:
        """Removes FFmpeg's report."""
        with suppress(OSError):
            self._report.unlink()


@contextmanager
def _reporting_to(path: Path) -> Iterator[None]:
    """FFmpeg that starts in this block writes its errors to a file as well, which is the one way to hear them here."""
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
