"""Video of a shot: decoded in pieces at fixed latent numbers, written in segments, joined to one file.

    video.json           for each decoding: VAE, windows, frames per second; tiles where memory ran out
    video_00000.mp4      the frames of a segment's latents
    shot_00096_frames.mp4
    decoded_2/           the same files of the second decoding, and so on

Latents do not depend on the decoder. Another VAE or frame rate decodes the stored latents to files of its own.
"""

import json
import logging
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ..sampling.pieces import Pieces
from ..video.io.join import BrokenPart, join_videos
from ..video.io.whole_file import write_whole
from ..video.io.write import VideoWriter
from .journal import LARGEST_HEADER, Journal, Scalar, changed
from .sinks import DecodedFrame, JournalSink, Sink

log = logging.getLogger(__name__)

UNFINISHED = "unfinished.mp4"
"""The playable file of a shot that was interrupted."""
ONE_BY_ONE = "frame by frame"
"""Value of the setting `decoding` for decoders that process every latent alone."""


class Decoder(Protocol):
    """Decoder of a shot's latents. Called only between rounds."""

    @property
    def pieces(self) -> Pieces:
        """Windows of the decoder."""
        ...

    @property
    def tiles(self) -> dict[int, int]:
        """Number of a window -> side of the tiles in pixels, from this window on; empty where memory sufficed. The video
        stores it, so that a resumed shot is decoded alike."""
        ...

    def decode(self, latents: Tensor, piece: int | None) -> Tensor:
        """Decodes `(n, c, h, w)` to frames `(f, 3, h, w)` in [0, 1]. piece: number of the window; None: a preview."""
        ...


@dataclass
class Decoding:
    """Folder of the files of one decoding, and its record in `video.json`."""

    folder: Path
    """Folder of the files."""
    record: Path
    index: int
    reason: list[str] = field(default_factory=list)
    """Differences from the decoding before, if this one is new."""

    def tiles(self) -> dict[int, int]:
        return {int(piece): side for piece, side in _records(self.record)[self.index].get("tiles", {}).items()}

    def save_tiles(self, tiles: Mapping[int, int]) -> None:
        records = _records(self.record)
        records[self.index]["tiles"] = {str(piece): side for piece, side in tiles.items()}
        _save(self.record, records)


def decoding_for(journal: Journal, settings: Mapping[str, Scalar]) -> Decoding:
    """The decoding with these settings, or a new one. Raises ValueError for a damaged record."""
    record = journal.folder / "video.json"
    records = _records(record) if record.exists() else _before_records(journal, settings)
    known = [one["settings"] for one in records]
    reason = [] if settings in known or not known else changed(known[-1], settings)
    if settings not in known:
        records.append({"settings": dict(settings)})
    if settings not in known or not record.exists():
        _save(record, records)
    index = [one["settings"] for one in records].index(settings)
    folder = journal.folder if index == 0 else journal.folder / f"decoded_{index + 1}"
    folder.mkdir(exist_ok=True)
    return Decoding(folder, record, index, reason)


def _before_records(journal: Journal, settings: Mapping[str, Scalar]) -> list[dict]:
    """The decoding of a journal from before there were records: its settings included those of the video."""
    if not any(name in journal.settings for name in settings):
        return []
    everything = {**journal.made_with, **journal.settings}
    stored = {name: everything[name] for name in settings if name in everything}
    return [{"settings": {**stored, "decoding": ONE_BY_ONE}}]


def _records(path: Path) -> list[dict]:
    try:
        if path.stat().st_size > LARGEST_HEADER:
            raise ValueError(f"more than {LARGEST_HEADER} bytes")
        records = json.loads(path.read_text())["decoded"]
        if not all(isinstance(one["settings"], dict) and isinstance(one.get("tiles", {}), dict) for one in records):
            raise ValueError("expected settings and tiles")
        return records
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path}: damaged ({error}); delete it and the videos beside it, which are then decoded again from the latents"
        ) from error


def _save(path: Path, records: list[dict]) -> None:
    write_whole(path, json.dumps({"decoded": records}, indent=1).encode())


class VideoSink(Sink):
    """Decodes latents to segments of video, and joins them to one file.

    kept     the latents
    frames   length of the video; decoding: where its files are; fps: its frame rate
    """

    def __init__(self, kept: JournalSink, decoder: Decoder, decoding: Decoding, frames: int, fps: float):
        self._kept, self._decoder, self._decoding, self._frames, self._fps = kept, decoder, decoding, frames, fps
        self._pieces = decoder.pieces
        self._stream, self._next = iter(()), -1
        """The decoder's frames from number `next` on."""
        self._latents: tuple[int, Tensor] | None = None
        decoder.tiles.update(decoding.tiles())

    @property
    def final(self) -> int:
        """Number of frames of the video that can be decoded."""
        return min(self._frames, self._pieces.final(max(0, self._kept.state.frame)))

    def catch_up(self) -> Iterator[DecodedFrame]:
        """Writes every complete segment that has no video yet."""
        for number in range(self._complete):
            yield from self._segment(number, self._of_segment(number).stop)

    def pause(self) -> Iterator[DecodedFrame]:
        """Writes complete segments; decodes the newest latent after them as a preview."""
        yield from self.catch_up()
        state = self._kept.state
        newest = self._pieces.ratio.frames(max(0, state.frame)) - 1
        if len(state.pending) and self._of_segment(self._complete).start <= newest < self._frames:
            yield DecodedFrame(newest, self._decoder.decode(state.pending[-1:], None)[-1])

    @property
    def _complete(self) -> int:
        """Number of segments whose frames are all final."""
        ratio, final = self._pieces.ratio, self.final
        latents = ratio.latents(final)
        return (latents - (ratio.frames(latents) > final)) // self._kept.journal.sizes.segment

    def join(self, frames: int, path: Path) -> Iterator[DecodedFrame]:
        """Joins the videos of all segments, written where missing, to one file; removes files that it replaces."""
        if path.exists():
            return
        parts = yield from self._joined(frames, path)
        whole = self._of_segment(len(parts) - 1).stop == frames
        for leftover in (path.with_name(UNFINISHED), *([] if whole else [parts[-1]])):
            if leftover != path:
                leftover.unlink(missing_ok=True)

    def joined(self, frames: int) -> Path:
        """Path of the joined file of a finished shot."""
        return self._decoding.folder / f"shot_{frames:05}_frames.mp4"

    def join_unfinished(self) -> None:
        """Joins the final frames of a shot that was stopped."""
        path = self._decoding.folder / UNFINISHED
        path.unlink(missing_ok=True)
        if self.final:
            for _ in self.join(self.final, path):
                pass

    def _joined(self, frames: int, path: Path) -> Generator[DecodedFrame, None, list[Path]]:
        """Joins segments and returns their paths; one that cannot be read is decoded again from its latents."""
        remade = set()
        while True:
            parts: list[Path] = []
            while not parts or self._of_segment(len(parts) - 1).stop < frames:
                stop = min(frames, self._of_segment(len(parts)).stop)
                parts.append((yield from self._segment(len(parts), stop)))
            try:
                join_videos(parts, path)
                return parts
            except BrokenPart as error:
                if error.part in remade:
                    raise
                log.warning("Zoetrope: %s; it is decoded again from its latents", error)
                remade.add(error.part)
                error.part.unlink()

    def _of_segment(self, number: int) -> range:
        """Numbers of the frames of a segment's latents."""
        size, ratio = self._kept.journal.sizes.segment, self._pieces.ratio
        return range(ratio.frames(number * size), ratio.frames((number + 1) * size))

    def _segment(self, number: int, stop: int) -> Generator[DecodedFrame, None, Path]:
        """Writes the video of a segment, or of its frames before number `stop`, unless it exists."""
        frames = self._of_segment(number)
        part = "" if stop == frames.stop else f"_{stop - frames.start:03}"
        path = self._decoding.folder / f"video_{number:05}{part}.mp4"
        if path.exists():
            return path
        with VideoWriter(path, self._fps, joinable=True) as writer:
            for frame in range(frames.start, stop):
                picture = self._picture(frame)
                writer.add(picture)
                yield DecodedFrame(frame, picture)
        return path

    def _picture(self, frame: int) -> Tensor:
        """Decodes a frame, in order where possible; from another frame on, the windows around it are decoded again."""
        if frame != self._next:
            self._stream = self._pieces.decoded(self._decode, self._numbered, frame)
        self._next = -1  # after an error
        picture = next(self._stream)
        if not bool(picture.isfinite().all()):
            raise ValueError(
                f"frame {frame} was decoded to undefined numbers (NaN); its latent is intact and stored in "
                f"{self._kept.journal.folder}. Run the VAE in bf16 or fp32 and queue again."
            )
        self._next = frame + 1
        return picture

    def _decode(self, latents: Tensor, piece: int) -> Tensor:
        before = dict(self._decoder.tiles)
        pictures = self._decoder.decode(latents, piece)
        if self._decoder.tiles != before:
            self._decoding.save_tiles(self._decoder.tiles)
        return pictures

    def _numbered(self, start: int, stop: int) -> Tensor:
        """Latents by number, `(stop - start, c, h, w)`; the last segment that was read stays in memory."""
        size, parts = self._kept.journal.sizes.segment, []
        for number in range(start // size, -(-stop // size)):
            if self._latents is None or self._latents[0] != number or len(self._latents[1]) < size:
                self._latents = (number, self._kept.latents(number))
            parts.append(self._latents[1][max(0, start - number * size) : stop - number * size])
        return torch.cat(parts)
