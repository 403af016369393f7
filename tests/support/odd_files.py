"""Odd video files as people have them, made by FFmpeg, and what FFmpeg itself shows of them."""

import os
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imageio_ffmpeg
import numpy as np


def ffmpeg(*words: object) -> bytes:
    """Its output. JUDGE names another one than imageio-ffmpeg's, where that is too old to judge."""
    command = [os.environ.get("JUDGE") or imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *map(str, words)]
    done = subprocess.run(command, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout


@dataclass(frozen=True)
class Odd:
    """How a file is made and judged."""

    source: tuple[str, ...]
    """What FFmpeg reads and how it encodes it."""
    suffix: str = ".mp4"
    then: tuple[str, ...] = ()
    """Arguments of a second run over the first one's file, `IN` for that."""
    patch: Callable[[bytes], bytes] | None = None
    """Applied to the file's bytes at last."""
    view: str = ""
    """Filters that the judge is told where its own taste is another: pixels made square, an untagged matrix named."""
    uneven: bool = False
    """Whether the judge is asked for an even rate too."""
    off: float = 2.0
    """Levels of 255 by which pictures may differ on average."""
    spare: int = 0
    """Frames more or fewer that are right as well."""
    says: str = ""
    """A note that comes with it."""


def still(size: str = "64x48", rate: str = "10", seconds: float = 1, more: str = "") -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"testsrc=size={size}:rate={rate}:duration={seconds}{more}")


def tone(seconds: float = 1, rate: int = 48000, hertz: int = 440) -> tuple[str, ...]:
    return ("-f", "lavfi", "-i", f"sine=frequency={hertz}:sample_rate={rate}:duration={seconds}")


X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p")
LATE = ("-c:a", "flac", "-map", "0:v", "-map", "1:a")


def made(odd: Odd, folder: Path, name: str) -> Path:
    path = folder / f"{name}{odd.suffix}"
    if odd.then:
        first = folder / f"{name}_first{odd.then[0]}"
        ffmpeg(*odd.source, first)
        ffmpeg(*(str(first) if word == "IN" else word for word in odd.then[1:]), path)
        first.unlink()
    else:
        ffmpeg(*odd.source, path)
    if odd.patch:
        path.write_bytes(odd.patch(path.read_bytes()))
    return path


@dataclass(frozen=True)
class Judgement:
    """What FFmpeg shows."""

    frames: np.ndarray
    """`(f, h, w, 3)`, uint8."""
    moments: list[float]
    """Seconds after the start of the file."""


def judged(path: Path, view: str = "", size: tuple[int, int] = (0, 0)) -> Judgement:
    """Every frame that FFmpeg shows, in its own size where none is given (width, height), and when."""
    filters = ",".join(part for part in (view, f"scale={size[0]}:{size[1]}" if any(size) else "", "format=rgb24") if part)
    raw, times = path.with_suffix(".raw"), path.with_suffix(".times")
    shown = ("-map", "0:v:0", "-vf", filters, "-fps_mode", "passthrough", "-enc_time_base", "1:90000", "-an")
    ffmpeg("-i", path, *shown, "-f", "rawvideo", raw, *shown, "-f", "framecrc", times)
    lines = times.read_text().splitlines()
    base = next(line for line in lines if line.startswith("#tb")).split()[-1].split("/")
    sides = next(line for line in lines if line.startswith("#dimensions")).split()[-1].split("x")
    moments = [int(line.split(",")[2]) * int(base[0]) / int(base[1]) for line in lines if not line.startswith("#")]
    pixels = np.fromfile(raw, np.uint8).reshape(-1, int(sides[1]), int(sides[0]), 3)
    raw.unlink(), times.unlink()
    return Judgement(pixels, moments)


def heard(path: Path, track: int = 0) -> np.ndarray:
    """The sound as FFmpeg plays it from the start of the file on, gaps filled: mono at 8 kHz."""
    lined_up = "aresample=8000:async=1:first_pts=0"
    raw = ffmpeg("-i", path, "-map", f"0:a:{track}", "-af", lined_up, "-ac", 1, "-f", "f32le", "-")
    return np.frombuffer(raw, np.float32)


def onsets(wave: np.ndarray, rate: int) -> list[float]:
    """Seconds at which sound begins after a tenth of a second of silence, or at the start."""
    block = rate // 100
    blocks = np.abs(wave)[: len(wave) // block * block].reshape(-1, block)
    steps = (blocks.max(1) > 0.02).tolist()
    return [n / 100 for n, step in enumerate(steps) if step and not any(steps[max(0, n - 10) : n])]


def boxes_grown(data: bytes, path: tuple[bytes, ...], change: Callable[[bytes], bytes]) -> bytes:
    """An MP4, its index at the end, with the contents of the first box on a path changed, and sizes made to fit."""

    def within(content: bytes, names: tuple[bytes, ...]) -> bytes:
        if not names:
            return change(content)
        skip = {b"stsd": 8, b"avc1": 78}.get(names[0], 0)
        at = 0
        while at < len(content):
            size, kind = struct.unpack(">I4s", content[at : at + 8])
            if kind == names[0]:
                body = content[at + 8 : at + size]
                body = body[:skip] + within(body[skip:], names[1:])
                return content[:at] + struct.pack(">I4s", len(body) + 8, kind) + body + content[at + size :]
            at += size
        raise AssertionError(f"no {names[0]!r}")

    return within(data, path)


TRACK = (b"moov", b"trak")


def with_aperture(data: bytes) -> bytes:
    """Shows 48x32 of 64x48 pixels, 2 to the right of the middle and 4 above it."""
    clap = struct.pack(">I4s8i", 40, b"clap", 48, 1, 32, 1, 2, 1, -4, 1)
    return boxes_grown(data, (*TRACK, b"mdia", b"minf", b"stbl", b"stsd", b"avc1"), lambda held: held + clap)


def with_edits(*entries: tuple[int, int]) -> Callable[[bytes], bytes]:
    """Another edit list: (milliseconds, begin in ticks of the track, -1 for nothing) of each entry."""
    held = struct.pack(">II", 0, len(entries)) + b"".join(struct.pack(">Iihh", long, at, 1, 0) for long, at in entries)
    return lambda data: boxes_grown(data, (*TRACK, b"edts", b"elst"), lambda _: held)
