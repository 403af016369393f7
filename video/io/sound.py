"""Adding sound to a video: the video stream is copied, the sound is encoded as AAC."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .av import pyav
from .containers import opened
from .join import index_options
from .mix import stereo
from .whole_file import not_written, whole

SAMPLES = 1024
"""Samples per AAC frame."""
RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sample rates of AAC (ISO/IEC 14496-3, table 1.18)."""


def check_sound(wave: Tensor, rate: int) -> None:
    """Raises ValueError for sound that `add_sound` does not take; called before frames are computed."""
    if not isinstance(wave, Tensor) or wave.ndim != 2 or not len(wave) or rate < 1:
        got = list(wave.shape) if isinstance(wave, Tensor) else type(wave).__name__
        raise ValueError(f"sound: expected a waveform (channels, samples) and its rate, got {got} at {rate}")
    if wave.is_floating_point() and not bool(wave.isfinite().all()):
        raise ValueError("sound: the waveform has infinite or undefined numbers (NaN); make it again, or leave the sound out")
    stereo(wave[:, :1].float())


def add_sound(path: Path, wave: Tensor, rate: int) -> None:
    """Adds a sound track (AAC) to an MP4, cut to the length of the video.

    wave   `(channels, samples)` in [-1, 1], or integers; more than two channels are mixed down (`mix.stereo`)
    rate   samples per second; resampled to the next rate that AAC supports
    The file is replaced when the new one is complete. Raises ValueError for invalid sound, OSError where it cannot be written.
    """
    check_sound(wave, rate)
    av = pyav("a video with sound")
    try:
        with (
            whole(path) as unfinished,
            opened(path) as source,
            av.open(str(unfinished), "w", format="mp4", options=index_options(source)) as target,
        ):
            _copy(av, source, target, stereo(_floats(wave)), rate)
    except av.FFmpegError as error:
        raise not_written(path, f"its sound ({rate} Hz) could not be written", str(error)) from error


def accepted_rate(rate: int) -> int:
    """The rate itself if AAC supports it, else the next higher one, at most 48 kHz (44.1 kHz for its multiples)."""
    if rate in RATES:
        return rate
    if rate > RATES[-1]:
        return 44100 if rate % 44100 == 0 else 48000
    return next(known for known in RATES if known > rate)


def _floats(wave: Tensor) -> Tensor:
    wave = wave.detach().cpu()
    if wave.is_floating_point():
        return wave.float()
    if wave.dtype == torch.uint8:
        return wave.float() / 128 - 1
    return wave.float() / (torch.iinfo(wave.dtype).max + 1)


def _copy(av: Any, source: Any, target: Any, wave: Tensor, rate: int) -> None:
    """Muxes both streams in order of time, so that packets do not accumulate in memory."""
    pictures = source.streams.video[0]
    out = target.add_stream_from_template(pictures, opaque=True)
    layout = "mono" if len(wave) == 1 else "stereo"
    sound = target.add_stream("aac", rate=accepted_rate(rate), layout=layout)
    length = float(pictures.duration * pictures.time_base) if pictures.duration else wave.shape[1] / rate
    blocks = _blocks(av, wave[:, : round(length * rate)], rate, layout)
    block = next(blocks, None)
    for packet in source.demux(pictures):
        if packet.dts is None:  # the end
            continue
        moment = float(packet.dts * packet.time_base)
        while block is not None and float(block.pts * block.time_base) <= moment:
            target.mux(sound.encode(block))
            block = next(blocks, None)
        packet.stream = out
        target.mux(packet)
    while block is not None:
        target.mux(sound.encode(block))
        block = next(blocks, None)
    target.mux(sound.encode(None))


def _blocks(av: Any, wave: Tensor, rate: int, layout: str) -> Iterator[Any]:
    """Audio frames at the rate of the encoder."""
    resampler = av.AudioResampler(format="fltp", layout=layout, rate=accepted_rate(rate))
    for start in range(0, wave.shape[1], SAMPLES):
        part = wave[:, start : start + SAMPLES].contiguous().numpy()
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, start
        frame.time_base = Fraction(1, rate)
        yield from resampler.resample(frame)
    if wave.shape[1]:
        yield from (frame for frame in resampler.resample(None) if frame is not None)
