"""Video files frame by frame, at one even rate, and their sound. Needs PyAV, which ComfyUI brings."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from .av import pyav

Source = str | Path | Any
"""A path, or an open file in memory."""

FORMATS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,gif,apng,webp,mxf,nut,ivf,rm,wav,mp3,flac,aac"
"""Containers that hold their own pictures and their times. Playlists (HLS, DASH) would open other files, and the network."""


@dataclass(frozen=True)
class Part:
    """Which part of a video: from a second on, so many seconds; 0: to its end."""

    start: float = 0.0
    seconds: float = 0.0

    @property
    def end(self) -> float:
        return self.start + self.seconds if self.seconds else float("inf")


@dataclass(frozen=True)
class Facts:
    """What a file says about itself before its frames are read."""

    width: int
    height: int
    fps: Fraction
    """Frames per second, on average."""
    frames: int
    """About how many, for progress bars."""


def facts_of(source: Source, part: Part = Part()) -> Facts:  # noqa: B008  frozen
    """Raises ValueError for a file that holds no readable video."""
    with opened(source) as container:
        stream = _video(container, source)
        fps = Fraction(stream.average_rate or stream.guessed_rate or 1)
        seconds = float(stream.duration * stream.time_base) if stream.duration else float((container.duration or 0) / 1e6)
        shown = max(0.0, min(part.end, seconds or part.end) - part.start) if part.seconds or seconds else 0.0
        return Facts(stream.width, stream.height, fps, max(1, round(shown * fps)) if shown < 1e9 else 1)


def frames_of(source: Source, part: Part = Part()) -> Iterator[Tensor]:  # noqa: B008  frozen
    """Frames `(3, h, w)` in [0, 1], one at a time, upright, without transparency, at the file's average rate.

    Where frames are unevenly spaced in time (phones, screen recordings), each moment shows the frame that a player would show,
    so that the length stays and sound stays in step. Raises ValueError where the file breaks off, with the number of the frame.
    """
    fps = facts_of(source).fps
    shown, stop, count = None, Fraction(part.start), 0
    for moment, length, picture in _timed(source, part):
        while shown is not None and count + 0.5 < (moment - Fraction(part.start)) * fps:
            yield shown
            count += 1
        shown, stop = picture, moment + (length or 1 / fps)
    if shown is None:
        raise ValueError(f"{_name(source)}: it has no frame after second {part.start:g}; choose an earlier start")
    while count == 0 or count + 0.5 < (min(stop, part.end) - Fraction(part.start)) * fps:
        yield shown
        count += 1


def _timed(source: Source, part: Part) -> Iterator[tuple[Fraction, Fraction, Tensor]]:
    """(second at which it appears, seconds that the file gives it, picture) of each frame."""
    av = pyav("reading a video")
    count = 0  # frames decoded, shown or not
    with opened(source) as container:
        stream = _video(container, source)
        stream.thread_type = "AUTO"
        origin = Fraction(stream.start_time or 0) * stream.time_base
        if part.start > 1:
            container.seek(int((part.start - 1 + origin) / stream.time_base), stream=stream)
        try:
            for frame in container.decode(stream):
                count += 1
                moment = Fraction(frame.pts or 0) * stream.time_base - origin
                length = Fraction(getattr(frame, "duration", 0) or 0) * stream.time_base
                if moment + (length or Fraction(1, 1000)) <= part.start:
                    continue
                if moment >= part.end:
                    return
                yield moment, length, _picture(frame)
        except av.FFmpegError as error:
            raise ValueError(f"{_name(source)}: the file breaks off after frame {count} ({error}); copy it again") from error
        if count < 0.98 * stream.frames - 2 and part.start <= 1:  # containers may be wrong by a frame or two
            raise ValueError(f"{_name(source)}: the file breaks off after frame {count} of {stream.frames}; copy it again")


def _picture(frame: Any) -> Tensor:
    pixels = frame.to_ndarray(format="rgb24")
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    pixels = np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels
    return rearrange(torch.from_numpy(pixels), "h w c -> c h w") / 255


def sound_of(source: Source, part: Part = Part()) -> tuple[Tensor, int] | None:  # noqa: B008  frozen
    """The waveform `(channels, samples)` in [-1, 1] and its rate, or None where the file has no sound."""
    av = pyav("reading a video")
    with opened(source) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp")
        try:
            chunks = [c.to_ndarray() for frame in container.decode(stream) for c in resampler.resample(frame)]
            chunks += [c.to_ndarray() for c in resampler.resample(None)]
        except av.FFmpegError as error:
            raise ValueError(f"{_name(source)}: its sound cannot be read ({error}); copy the file again") from error
        if not chunks:
            return None
        rate = int(stream.rate or 44100)
    wave = torch.from_numpy(np.concatenate(chunks, axis=1))
    stop = round(part.end * rate) if part.seconds else None
    return wave[:, round(part.start * rate) : stop], rate


def _video(container: Any, source: Source) -> Any:
    if not container.streams.video:
        raise ValueError(f"{_name(source)}: this file holds no video, only {container.format.long_name}")
    return container.streams.video[0]


def opened(source: Source) -> Any:
    """The file, open for reading with PyAV. Raises ValueError for one that cannot be read."""
    av = pyav("reading a video")
    if not isinstance(source, str | Path):
        source.seek(0)
    try:
        return av.open(str(source) if isinstance(source, Path) else source, "r", options={"format_whitelist": FORMATS})
    except (av.FFmpegError, OSError) as error:
        raise ValueError(
            f"{_name(source)}: this is no video that can be read ({error}); copy it again, or convert it"
        ) from error


def _name(source: Source) -> str:
    return Path(source).name if isinstance(source, str | Path) else "the video"
