"""Sound for a video that has none: its pictures are copied as they are, the sound is encoded beside them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from .av import pyav
from .read import opened
from .whole_file import whole

SAMPLES = 1024
"""Per call of the encoder (AAC's own block)."""


def add_sound(path: Path, wave: Tensor, rate: int) -> None:
    """Gives an MP4 a sound track (AAC), as long as its pictures at most.

    wave   `(channels, samples)` in [-1, 1]; of more than two channels the first two are taken
    rate   samples per second
    The file is replaced when the new one is whole. Raises ValueError for no channels, OSError where the disk is full.
    """
    if wave.ndim != 2 or not len(wave) or rate < 1:
        raise ValueError(f"sound: expected a waveform (channels, samples) and its rate, got {list(wave.shape)} at {rate}")
    av = pyav("a video with sound")
    try:
        with (
            whole(path) as unfinished,
            opened(path) as source,
            av.open(str(unfinished), "w", format="mp4", options={"movflags": "+faststart"}) as target,
        ):
            _copy(av, source, target, wave[:2].float().cpu(), rate)
    except av.FFmpegError as error:
        raise OSError(f"{path}: its sound could not be written ({error}); is the disk full?") from error


def _copy(av: Any, source: Any, target: Any, wave: Tensor, rate: int) -> None:
    """Packets of both in order of time, so that nothing piles up in memory."""
    pictures = source.streams.video[0]
    out = target.add_stream_from_template(pictures)
    sound = target.add_stream("aac", rate=rate, layout="mono" if len(wave) == 1 else "stereo")
    length = float(pictures.duration * pictures.time_base) if pictures.duration else wave.shape[1] / rate
    blocks = _blocks(av, wave[:, : round(length * rate)], rate)
    behind = next(blocks, None)
    for packet in source.demux(pictures):
        if packet.dts is None:  # the end
            continue
        moment = float(packet.dts * packet.time_base)
        while behind is not None and behind.pts / rate <= moment:
            target.mux(sound.encode(behind))
            behind = next(blocks, None)
        packet.stream = out
        target.mux(packet)
    while behind is not None:
        target.mux(sound.encode(behind))
        behind = next(blocks, None)
    target.mux(sound.encode(None))


def _blocks(av: Any, wave: Tensor, rate: int) -> Iterator[Any]:
    for start in range(0, wave.shape[1], SAMPLES):
        part = wave[:, start : start + SAMPLES].contiguous().numpy()
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono" if len(wave) == 1 else "stereo")
        frame.sample_rate, frame.pts = rate, start
        yield frame
