"""A shot written while it is sampled: latents to the journal, pictures to segments of video, segments to one file."""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..video.io.join import BrokenPart, join_videos
from ..video.io.write import write_video
from .journal import Journal, State

log = logging.getLogger(__name__)

SAVED_EVERY = 1.0
"""Seconds of work that a crash may cost, beyond the frame in the making."""
UNFINISHED = "unfinished.mp4"
ROUND = 20.0
"""Seconds after which sampling pauses for a look at the newest frame."""

Keep = Callable[[int, Tensor, Tensor], bool]
"""`(frame number, its clean latent c h w, the queue as it is now) -> whether to go on`."""


@dataclass(frozen=True)
class Look:
    """A finished frame, to be seen on the way."""

    frame: int
    picture: Tensor
    """`(3, h, w)` in [0, 1]."""


@dataclass(frozen=True)
class Crew:
    """Who does the work: a host's functions."""

    begin: Callable[[], State]
    """The first state of a new shot: a queue, and clean latents that are finished already."""
    sample: Callable[[State, Keep], None]
    """Samples on from a state, frame by frame, until told to stop."""
    decode: Callable[[Tensor], Tensor]
    """A latent (c h w) to a picture (3 h w) in [0, 1]."""
    note: Callable[[int, int, Look | None], None]
    """Told of progress: (frames done, warm-up included; of how many; a frame that was decoded, if one was)."""


@dataclass(frozen=True)
class Shot:
    """What a run of the crew left."""

    video: Path
    latents: Tensor
    """The last ones, up to `tail` frames `(t, c, h, w)`: what another shot may go on after."""
    resumed: int
    """Frames that were there already."""

    def story(self, frames: int, news: Sequence[str]) -> str:
        """What happened, in a line."""
        count = f"{frames} frames" if frames > 1 else "1 frame"
        if news:
            return f"{count}, a new shot because of: {', '.join(news)}"
        if self.resumed == frames:
            return f"{count}, all of them there already"
        return count + (f", the first {self.resumed} there already" if self.resumed else "")


def film(journal: Journal, crew: Crew, frames: int, fps: float, tail: int) -> Shot:
    """Brings a shot to `frames` frames, from wherever its journal stands, and returns the joined video.

    An error or an interrupt leaves the journal at the last finished frame and a playable video of all finished frames, if
    that is still possible; then it goes on to the caller.
    """
    stored = journal.state()
    work = _Work(journal, crew, frames, fps, stored or crew.begin())
    try:
        work.save()
        work.catch_up()
        while work.state.frame < frames:
            work.film_a_round()
        video = work.finish(frames, f"shot_{frames:05}_frames.mp4")
    except BaseException:
        work.leave()
        raise
    return Shot(video, _last(journal, work.state, frames, tail), min(frames, max(0, stored.frame)) if stored else 0)


class _Work:
    """A shot in the making."""

    def __init__(self, journal: Journal, crew: Crew, frames: int, fps: float, state: State):
        self.journal, self.crew, self.frames, self.fps = journal, crew, frames, fps
        self._first = min(state.frame, frames)
        self._saved_at = time.monotonic()
        self._advance(state)

    def catch_up(self) -> None:
        """Pictures of full segments that an earlier run could not make any more."""
        segment = self.journal.sizes.segment
        for number in range(min(max(0, self.state.frame), self.frames) // segment):
            self._video_of(number, segment)

    def film_a_round(self) -> None:
        """Samples until a segment is full, the shot is long enough, or it is time to look."""
        until = min(self.frames, (max(0, self.state.frame) // self.journal.sizes.segment + 1) * self.journal.sizes.segment)
        started = time.monotonic()

        def keep(frame: int, latent: Tensor, queue: Tensor) -> bool:
            self._take(frame, latent, queue)
            self._tell(None)
            return self.state.frame < until and time.monotonic() - started < ROUND

        self.crew.sample(self.state, keep)
        self.save()
        closed, left = divmod(max(0, self.state.frame), self.journal.sizes.segment)
        if closed and not left:
            self._video_of(closed - 1, self.journal.sizes.segment)
        elif left:
            self._tell(Look(self.state.frame - 1, self.crew.decode(self.state.pending[-1])))

    def _take(self, frame: int, latent: Tensor, queue: Tensor) -> None:
        if not bool(queue.isfinite().all() and latent.isfinite().all()):
            raise ValueError(
                f"undefined numbers (NaN) came up while frame {frame} was being finished. The shot stops here; the frames "
                f"before it are kept in {self.journal.folder}. Lower the cfg, or run the model in bf16 or fp32."
            )
        latents = latent.to("cpu", torch.float32)[None] if frame >= 0 else self.state.pending[:0]
        self._advance(State(frame + 1, queue.to("cpu", torch.float32), torch.cat([self.state.pending, latents])))
        if time.monotonic() - self._saved_at > SAVED_EVERY:
            self.save()

    def _advance(self, state: State) -> None:
        """The next state; a full segment becomes a file first."""
        segment, pending = self.journal.sizes.segment, state.pending
        while len(pending) >= segment:
            self.journal.close_segment((state.frame - len(pending)) // segment, pending[:segment])
            pending = pending[segment:]
        self.state, self._unsaved = State(state.frame, state.queue, pending), True

    def save(self) -> None:
        if self._unsaved:
            self.journal.save(self.state)
            self._saved_at, self._unsaved = time.monotonic(), False

    def _tell(self, look: Look | None) -> None:
        self.crew.note(min(self.state.frame, self.frames) - self._first, self.frames - self._first, look)

    def finish(self, frames: int, name: str) -> Path:
        """Every segment's video, made where it is missing, joined to one file."""
        segment, path = self.journal.sizes.segment, self.journal.folder / name
        if not path.exists():
            parts = self._joined(frames, path)
            for leftover in (UNFINISHED, *(part.name for part in parts if frames % segment and part == parts[-1])):
                if leftover != name:
                    (self.journal.folder / leftover).unlink(missing_ok=True)
        return path

    def _joined(self, frames: int, path: Path) -> list[Path]:
        """The parts of the joined file; one that cannot be read any more is made again from its latents."""
        segment, remade = self.journal.sizes.segment, set()
        while True:
            parts = [self._video_of(k, min(segment, frames - k * segment)) for k in range(-(-frames // segment))]
            try:
                join_videos(parts, path)
                return parts
            except BrokenPart as error:
                if error.part in remade:
                    raise
                log.warning("Zoetrope: %s; it is made again from its latents", error)
                remade.add(error.part)
                error.part.unlink()

    def _video_of(self, number: int, frames: int) -> Path:
        """The pictures of one segment, or of its first frames; decoded one by one, so the result depends on nothing else."""
        path = self.journal.video_path(number, frames)
        if path.exists():
            return path
        stored = self.journal.latents_path(number).exists()
        latents = self.journal.latents(number) if stored else self.state.pending

        def pictures() -> Iterator[Tensor]:
            for frame, latent in enumerate(latents[:frames], number * self.journal.sizes.segment):
                picture = self.crew.decode(latent)
                if not bool(picture.isfinite().all()):
                    raise ValueError(
                        f"frame {frame} was decoded to undefined numbers (NaN); its latent is sound and kept in "
                        f"{self.journal.folder}. Run the VAE in bf16 or fp32 and queue again."
                    )
                yield picture
                self._tell(Look(frame, picture))

        write_video(path, pictures(), self.fps, joinable=True)
        return path

    def leave(self) -> None:
        """After an error: what is finished is saved and joined, as far as that works; the error itself must not be hidden."""
        try:
            self.save()
            done = max(0, min(self.state.frame, self.frames))
            if done:
                (self.journal.folder / UNFINISHED).unlink(missing_ok=True)
                self.finish(done, UNFINISHED)
        except Exception as error:  # noqa: BLE001  the first error is the one to show
            log.warning(
                "Zoetrope: no playable file of the unfinished shot (%s); its segments are in %s", error, self.journal.folder
            )


def _last(journal: Journal, state: State, frames: int, tail: int) -> Tensor:
    """The last `tail` latents before frame `frames`."""
    segment = journal.sizes.segment
    parts, start = [], max(0, frames - tail)
    for number in range(start // segment, -(-frames // segment)):
        stored = journal.latents_path(number).exists()
        parts.append(journal.latents(number) if stored else state.pending)
    return torch.cat(parts)[start % segment :][: frames - start]
