"""Sound for a video that has none: its pictures are copied as they are, the sound is encoded beside them."""

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
"""Per call of the encoder (AAC's own block)."""
RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Samples per second that AAC has numbers for (ISO/IEC 14496-3, table 1.18)."""


def check_sound(wave: Tensor, rate: int) -> None:
    """Before the pictures are made: raises ValueError for sound that `add_sound` would not take."""
    if not isinstance(wave, Tensor) or wave.ndim != 2 or not len(wave) or rate < 1:
        got = list(wave.shape) if isinstance(wave, Tensor) else type(wave).__name__
        raise ValueError(f"sound: expected a waveform (channels, samples) and its rate, got {got} at {rate}")
    if wave.is_floating_point() and not bool(wave.isfinite().all()):
        raise ValueError("sound: the waveform holds infinite or undefined numbers (NaN); make it anew, or leave the sound out")
    stereo(wave[:, :1].float())


def add_sound(path: Path, wave: Tensor, rate: int) -> None:
    """Gives an MP4 a sound track (AAC), as long as its pictures at most.

    wave   `(channels, samples)` in [-1, 1], or integers; more than two channels are mixed down (`mix.stereo`)
    rate   samples per second; one that AAC does not know is changed to the next that it knows
    The file is replaced when the new one is whole. Raises ValueError for what is no sound, OSError where it cannot be written.
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
    """The rate that AAC takes in place of another: the next higher one, at most 48 kHz (44.1 kHz for its multiples)."""
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
    """Packets of both in order of time, so that nothing piles up in memory."""
    pictures = source.streams.video[0]
    out = target.add_stream_from_template(pictures, opaque=True)
    layout = "mono" if len(wave) == 1 else "stereo"
    sound = target.add_stream("aac", rate=accepted_rate(rate), layout=layout)
    length = float(pictures.duration * pictures.time_base) if pictures.duration else wave.shape[1] / rate
    blocks = _blocks(av, wave[:, : round(length * rate)], rate, layout)
    behind = next(blocks, None)
    for packet in source.demux(pictures):
        if packet.dts is None:  # the end
            continue
        moment = float(packet.dts * packet.time_base)
        while behind is not None and float(behind.pts * behind.time_base) <= moment:
            target.mux(sound.encode(behind))
            behind = next(blocks, None)
        packet.stream = out
        target.mux(packet)
    while behind is not None:
        target.mux(sound.encode(behind))
        behind = next(blocks, None)
    target.mux(sound.encode(None))


def _blocks(av: Any, wave: Tensor, rate: int, layout: str) -> Iterator[Any]:
    """Frames at the rate that is encoded."""
    turn = av.AudioResampler(format="fltp", layout=layout, rate=accepted_rate(rate))
    for start in range(0, wave.shape[1], SAMPLES):
        part = wave[:, start : start + SAMPLES].contiguous().numpy()
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate, start
        frame.time_base = Fraction(1, rate)
        yield from turn.resample(frame)
    if wave.shape[1]:
        yield from (frame for frame in turn.resample(None) if frame is not None)
