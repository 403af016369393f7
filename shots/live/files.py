"""Folders of live shots: the one that a run continues, a new one, and the replay of a recorded one."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from ..folder import ShotFolder, journal_for
from ..journal import Journal, Scalar, changed
from .host import LiveSettings
from .input import FromRecord
from .record import sizes_of
from .run import LiveRun, LiveShot

REPLAY = "replay of"
"""Setting of a shot that is a replay: the folder of the recorded one."""


def live_journal(
    place: ShotFolder, settings: LiveSettings, latent: tuple[int, ...], others: Mapping[str, Scalar],
    made_with: Mapping[str, Scalar], fresh: bool = False,
) -> tuple[Journal, list[str]]:  # fmt: skip
    """The journal of a live shot with these settings, else a new one and the differences from the newest.

    others   settings that the latents depend on besides those of the queue: model, prompt, source
    fresh    whether to begin a new one in any case
    """
    every = {**others, **settings.settings()}
    if not fresh:
        return journal_for(place, sizes_of(settings.layout, latent), every, made_with)
    known = place.shots()
    number = int(known[-1].name.rpartition("_")[2]) + 1 if known else 1
    folder = place.folder / f"{place.name}_{number:05}"
    return Journal.create(folder, sizes_of(settings.layout, latent), every, made_with), []


@dataclass(frozen=True)
class Replay:
    """Result of a replay."""

    shot: LiveShot
    same: bool
    """Whether all latents are those of the record, bit for bit."""
    differences: list[str]
    """Device, precision or versions that differ from those of the record."""


def replay(
    record: Journal, place: ShotFolder, settings: LiveSettings, others: Mapping[str, Scalar], made_with: Mapping[str, Scalar],
    run_of: Callable[[Journal, int], LiveRun],
) -> Replay:  # fmt: skip
    """Computes a recorded live shot again, from the source latents and the changes that are stored with it.

    run_of   (journal, number of frames, 0 for all) -> the run
    Raises ValueError where the settings differ from those of the record, or it has no frames.
    """
    known = dict(record.settings)
    every = {**others, **settings.settings(), "source": known.get("source")}
    if differences := changed(known, every):
        raise ValueError(f"replay: expected the settings of the recorded shot, but these differ: {', '.join(differences)}")
    state = record.state()
    if state is None or len(state.position) != 6 or state.frame <= 0:
        raise ValueError(f"replay: {record.folder} has no finished frames of a live shot")
    _, used, _, ended, *_ = state.position
    own = {**others, "source": known.get("source"), REPLAY: record.folder.name}
    journal, _ = live_journal(place, settings, record.sizes.latent, own, made_with, fresh=True)
    if (record.folder / "changes.json").exists():
        shutil.copyfile(record.folder / "changes.json", journal.folder / "changes.json")
    run = run_of(journal, 0 if ended else state.frame)
    shot = run.run(FromRecord(record, used, bool(ended), settings.layout.block))
    return Replay(shot, same_latents(record, journal), changed(record.made_with, made_with))


def same_latents(one: Journal, other: Journal) -> bool:
    """Whether two shots have the same finished latents, bit for bit."""
    states = one.state(), other.state()
    if states[0] is None or states[1] is None or states[0].frame != states[1].frame:
        return False
    segments = max(0, states[0].frame) // one.sizes.segment
    full = all(torch.equal(one.latents(number), other.latents(number)) for number in range(segments))
    return full and torch.equal(states[0].pending, states[1].pending)
