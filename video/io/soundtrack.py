"""Sound of a video, aligned with the times of its frames."""

import logging
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .av import pyav, words_of
from .containers import Source, missing_bytes, name_of, opened
from .decoding import default_stream, opening_of, video_streams
from .mix import LAYOUTS

log = logging.getLogger(__name__)

JITTER = Fraction(1, 25)
"""Tolerance of audio timestamps in seconds, below which there is no gap: the threshold of audible lip-sync errors."""


def wave_of(source: Source, start: float, end: float) -> tuple[Tensor, int] | None:
    """Waveform `(channels, samples)` from second `start` to second `end` of the video, and its rate; None without sound."""
    with opened(source) as container:
        if not container.streams.audio:
            return None
        filmed = bool(video_streams(container))
    opening = opening_of(source) if filmed else None
    with opened(source) as container:
        stream = default_stream(container.streams.audio)
        origin = opening.origin if opening else Fraction(stream.start_time or 0) * stream.time_base
        longest = opening.seconds if opening and opening.seconds else Fraction(container.duration or 0, 1_000_000)
        sound = _Track(Fraction(start), end, longest)
        for moment, samples, rate in _chunks(source, container, stream):
            if not sound.take(None if moment is None else moment - origin, samples, rate):
                break
        if sound.before > 0.1 and not start:
            log.warning("Zoetrope: %s: %.2f s of sound before its first frame are left out", name_of(source), sound.before)
        return sound.whole()


class _Track:
    """Accumulates samples at their times."""

    def __init__(self, start: Fraction, end: float, seconds: Fraction):
        self._start, self._end, self._longest = start, end, max(seconds, Fraction(60))
        self._pieces: list[np.ndarray] = []
        self._filled, self._rate, self._shift, self._begun = 0, 0, 0, False
        self.before = 0.0
        """Seconds of sound before second `start`, which are left out."""

    def take(self, moment: Fraction | None, samples: np.ndarray, rate: int) -> bool:
        """Adds samples `(channels, n)` at their time. Returns False where the part is complete."""
        self._rate = rate
        place = self._filled if moment is None else round((moment - self._start) * rate) + self._shift
        if self._begun and abs(place - self._filled) <= JITTER * rate:
            place = self._filled
        elif place - self._filled > self._longest * rate:  # longer than the file: a jump of timestamps, not silence
            self._shift += self._filled - place
            place = self._filled
        self._begun = self._begun or place + samples.shape[1] > 0
        self.before = max(self.before, -place / rate)
        stop = round((self._end - self._start) * rate) if self._end != float("inf") else None
        if stop is not None and place >= stop:
            return False
        samples = samples[:, max(0, self._filled - place) : None if stop is None else stop - place]
        if place > self._filled and samples.shape[1]:
            self._add(np.zeros((len(samples), place - self._filled), np.float32))
        self._add(samples)
        return True

    def _add(self, samples: np.ndarray) -> None:
        if samples.shape[1]:
            self._pieces.append(samples)
            self._filled += samples.shape[1]

    def whole(self) -> tuple[Tensor, int] | None:
        if not self._rate:
            return None
        channels = max((len(piece) for piece in self._pieces), default=1)
        pieces = [piece for piece in self._pieces if len(piece) == channels] or [np.zeros((channels, 0), np.float32)]
        return torch.from_numpy(np.concatenate(pieces, axis=1)), self._rate


def _chunks(source: Source, container: Any, stream: Any) -> Iterator[tuple[Fraction | None, np.ndarray, int]]:
    """Decodes (seconds, samples `(channels, n)`, rate), all with rate and channels of the first frame."""
    av = pyav("reading a video")
    resampler = _Resampler(av)
    failed = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            failed += 1
            if failed > 100 and not resampler.started:
                reason = missing_bytes(source) or words_of(error)
                raise ValueError(
                    f"{name_of(source)}: its sound cannot be decoded ({reason}); convert it, or mute it"
                ) from error
            continue
        for frame in frames:
            yield from resampler.resampled(frame)
    yield from resampler.remaining()


class _Resampler:
    """Converts decoded sound to float32 with one rate and one order of channels."""

    def __init__(self, av: Any):
        self._av, self._kind = av, ("", "", 0)
        self._resampler: Any = None
        self._layout, self._rate = "", 0
        self.started = False

    def resampled(self, frame: Any) -> Iterator[tuple[Fraction | None, np.ndarray, int]]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            yield from self.remaining()
            if not self.started:
                self._layout, self._rate = _order(frame.layout), frame.sample_rate
            self._kind = kind
            self._resampler = self._av.AudioResampler(format="fltp", layout=self._layout, rate=self._rate)
        self.started = True
        yield from self._out(frame)

    def remaining(self) -> Iterator[tuple[Fraction | None, np.ndarray, int]]:
        """Samples that the resampler has buffered."""
        if self._resampler is not None:
            yield from self._out(None)

    def _out(self, frame: Any) -> Iterator[tuple[Fraction | None, np.ndarray, int]]:
        for one in self._resampler.resample(frame):
            if one is not None:
                yield None if one.pts is None else one.pts * one.time_base, one.to_ndarray(), self._rate


def _order(layout: Any) -> str:
    """FFmpeg's name of the standard order of as many channels; an unnamed layout is unchanged."""
    name = str(layout.name)
    return name if "channels" in name else LAYOUTS.get(len(layout.channels), name)
