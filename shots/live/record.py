"""Record of a live shot: the journal of an endless shot, and beside it what a replay needs.

    source_00000.safetensors   source latents that entered the queue, one segment per file, and their numbers in the source
    changes.json               prompts and strengths that were set while the shot ran, with the call that they begin with

Both are written before the state that refers to them. A replay computes all frames from these files and the settings.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from ...sampling.live import LiveLayout, LiveState
from ...video.io.whole_file import write_whole
from ..journal import LARGEST_HEADER, Journal, Sizes, State, read_tensors
from ..sinks import JournalSink

LIVE_SEGMENT = 64
"""Frames per segment."""
LONGEST_PROMPT, MOST_CHANGES = 10_000, 10_000


@dataclass(frozen=True)
class Change:
    """A change of settings while the shot runs; None: unchanged."""

    call: int
    """Number of the first call with it."""
    prompt: str | None = None
    strength: float | None = None
    at_once: bool = False
    """Whether frames in the queue get the new prompt too; a new strength is for entering frames only."""


@dataclass(frozen=True)
class PromptFrom:
    """A prompt from one frame on."""

    frame: int
    text: str | None
    """None: the prompt that the shot began with."""


class Changes:
    """The changes of a live shot, in the order of calls. Raises ValueError for a damaged file."""

    def __init__(self, path: Path, layout: LiveLayout):
        self._path, self._layout = path, layout
        self._all = _changes_in(path) if path.exists() else []

    def add(self, change: Change) -> None:
        """Stores a change. Later ones of an earlier run, which was stopped, are dropped."""
        if len(self._all) >= MOST_CHANGES:
            raise ValueError(f"changes: expected at most {MOST_CHANGES} in one live shot; begin a new one")
        self._all = [one for one in self._all if one.call <= change.call] + [change]
        write_whole(self._path, json.dumps({"changes": [asdict(one) for one in self._all]}, indent=1).encode())

    def strength(self, call: int, first: float) -> float:
        """Strength of the frames that enter in a call. first: that of the shot's settings."""
        return next((one.strength for one in reversed(self._all) if one.call <= call and one.strength is not None), first)

    def prompts(self, call: int) -> tuple[PromptFrom, ...]:
        """Prompts of the frames in the queue at a call, the first from frame 0 on."""
        layout, found = self._layout, [PromptFrom(0, None)]
        for change in self._all:
            if change.call > call or change.prompt is None:
                continue
            entering = change.call * layout.block
            oldest = entering - layout.waiting - layout.context
            kept = [] if change.at_once else [one for one in found if one.frame < entering]
            ended = [one for one, after in zip(kept, kept[1:], strict=False) if after.frame <= oldest]
            kept = [one for one in kept if one not in ended]
            found = [*kept, PromptFrom(entering, change.prompt)]
            found[0] = PromptFrom(0, found[0].text)
        return tuple(found)

    def newest(self, call: int) -> tuple[str | None, float | None]:
        """The newest (prompt, strength) that was set by a call."""
        here = [one for one in self._all if one.call <= call]
        prompts = [one.prompt for one in here if one.prompt is not None]
        strengths = [one.strength for one in here if one.strength is not None]
        return (prompts or [None])[-1], (strengths or [None])[-1]


def _changes_in(path: Path) -> list[Change]:
    try:
        if path.stat().st_size > LARGEST_HEADER * 16:
            raise ValueError(f"more than {LARGEST_HEADER * 16} bytes")
        found = [Change(**one) for one in json.loads(path.read_text(encoding="utf-8"))["changes"]]
        for one in found:
            prompt = one.prompt is None or (isinstance(one.prompt, str) and len(one.prompt) <= LONGEST_PROMPT)
            strength = one.strength is None or (isinstance(one.strength, int | float) and 0 < one.strength <= 1)
            if not (prompt and strength and isinstance(one.call, int) and one.call >= 0):
                raise ValueError(f"impossible values {one}")
        return found
    except (OSError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: damaged ({error}); begin a new live shot") from error


@dataclass(frozen=True)
class Place:
    """Numbers of a live shot between two calls."""

    calls: int = 0
    used: int = 0
    """Source frames that have entered; repetitions at the end of the source do not count."""
    source: int = -1
    """Number of the last of them in the source."""
    ended: bool = False
    """Whether the source has ended, so that only frames in the queue are left."""

    def position(self, state: LiveState) -> tuple[int, ...]:
        return (self.calls, self.used, self.source, int(self.ended), state.frame, len(state.context))


def sizes_of(layout: LiveLayout, latent: tuple[int, ...]) -> Sizes:
    """Sizes of the journal: the queue, its rests and the context are stored as one tensor."""
    return Sizes(max(1, layout.context + 2 * layout.waiting), LIVE_SEGMENT, latent)


def packed(state: LiveState, layout: LiveLayout) -> Tensor:
    """The state's tensors as one `(places, c, h, w)`."""
    missing = sizes_of(layout, ()).places - len(state.context) - 2 * len(state.queue)
    parts = (state.context, state.queue, state.rests)
    shape = next((part.shape[1:] for part in parts if part.ndim > 1), torch.Size())
    return torch.cat([*parts, state.queue.new_zeros(missing, *shape)])


def unpacked(state: State, layout: LiveLayout, sigmas: Sequence[Tensor]) -> tuple[LiveState, Place]:
    """The inverse of `packed`. sigmas: levels of the blocks in the queue, cleanest first. Raises ValueError for damage."""
    if len(state.position) != 6:
        raise ValueError("state.safetensors: damaged (no place in the source); begin a new live shot")
    calls, used, source, ended, frame, count = state.position
    context, queue, rests, _ = state.queue.split(
        [count, layout.waiting, layout.waiting, len(state.queue) - count - 2 * layout.waiting]
    )
    levels = torch.stack(list(sigmas)) if sigmas else torch.zeros(0, layout.levels + 1)
    return LiveState(frame, queue, rests, levels, context), Place(calls, used, source, bool(ended))


class LiveSink(JournalSink):
    """A `JournalSink` that also stores the source latents.

    record   whether to store them; without them the shot can go on, but not be replayed
    """

    def __init__(self, journal: Journal, state: State | None, record: bool = True):
        super().__init__(journal, state)
        self._record, self._used = record, state.position[1] if state else 0
        self._open: list[Tensor] = []
        self._numbers: list[int] = []
        self.last_source: Tensor | None = None
        """The latent that entered last `(c, h, w)`; None where it is not known."""
        if record and self._used:
            count = (self._used - 1) % LIVE_SEGMENT + 1
            latents, numbers = sources(journal, (self._used - 1) // LIVE_SEGMENT)
            self.last_source = latents[count - 1]
            if count < LIVE_SEGMENT:
                self._open, self._numbers = list(latents[:count]), numbers[:count]

    def enter(self, latents: Tensor, numbers: Sequence[int]) -> None:
        """Stores source latents `(r, c, h, w)` that enter the queue. numbers: their numbers in the source."""
        for latent, number in zip(latents, numbers, strict=True):
            self._used, self.last_source = self._used + 1, latent.to("cpu", torch.float32)
            if self._record:
                self._open.append(self.last_source)
                self._numbers.append(number)
            if self._record and self._used % LIVE_SEGMENT == 0:
                self._write(self._used // LIVE_SEGMENT - 1)
                self._open, self._numbers = [], []

    def save(self) -> None:
        if self._unsaved and self._open:
            self._write(self._used // LIVE_SEGMENT)
        super().save()

    def _write(self, number: int) -> None:
        tensors = {"latents": torch.stack(self._open), "numbers": torch.tensor(self._numbers)}
        write_whole(source_path(self.journal, number), save(tensors))


def source_path(journal: Journal, number: int) -> Path:
    return journal.folder / f"source_{number:05}.safetensors"


def sources(journal: Journal, number: int) -> tuple[Tensor, list[int]]:
    """Source latents of a segment `(n, c, h, w)` and their numbers in the source. Raises ValueError for a damaged file."""
    path = source_path(journal, number)
    if not path.exists():
        raise ValueError(f"{path}: there is no such file; this live shot was made without a record of its source")
    tensors = read_tensors(path, {"latents": (None, *journal.sizes.latent)}, LIVE_SEGMENT)
    numbers = tensors.get("numbers", torch.zeros(0))
    if numbers.dtype != torch.int64 or numbers.shape != (len(tensors["latents"]),):
        raise ValueError(f"{path}: damaged (numbers of frames); begin a new live shot")
    return tensors["latents"], numbers.tolist()
