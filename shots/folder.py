"""Shots in a folder: finds the one that a run continues, or the settings that differ."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from .journal import Journal, Scalar, Sizes, changed

MOST_SHOTS = 10_000

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShotFolder:
    """Folder with the shots of one name: `<folder>/<name>_00001`."""

    folder: Path
    name: str

    def shots(self) -> list[Path]:
        """Folders of the shots, oldest first. Raises ValueError where there are more than `MOST_SHOTS`."""
        numbered = {path: path.name.removeprefix(f"{self.name}_") for path in self.folder.glob("*_*") if path.is_dir()}
        found = sorted((int(number), path) for path, number in numbered.items() if number.isdecimal())
        if len(found) > MOST_SHOTS:
            raise ValueError(f"{self.folder}: more than {MOST_SHOTS} shots are named {self.name}; choose another name")
        return [path for _, path in found]


def journal_for(
    place: ShotFolder,
    sizes: Sizes,
    settings: Mapping[str, Scalar],
    made_with: Mapping[str, Scalar],
    apart: Collection[str] = (),
) -> tuple[Journal, list[str]]:
    """The journal with these settings; else a new one, and the differences from the newest shot as text.

    apart   names of settings that are not compared, because latents do not depend on them; journals of version 0.1 have them
    """
    known = place.shots()
    for path in reversed(known):
        journal = _opened(path)
        if journal and _without(journal.settings, apart) == settings and journal.sizes == sizes:
            before, now = _without(journal.made_with, apart), _without(made_with, apart)
            if before != now:
                different = ", ".join(changed(before, now))
                log.warning("Zoetrope: %s is continued, but not bit for bit: %s changed", path.name, different)
            return journal, []
    last = _opened(known[-1]) if known else None
    number = int(known[-1].name.rpartition("_")[2]) + 1 if known else 1
    fresh = Journal.create(place.folder / f"{place.name}_{number:05}", sizes, settings, made_with)
    reason = changed(_without(last.settings, apart), settings) if last else []
    if reason:
        log.info("Zoetrope: new shot %s: %s", fresh.folder.name, ", ".join(reason))
    return fresh, reason


def _without(settings: Mapping[str, Scalar], names: Collection[str]) -> dict[str, Scalar]:
    return {name: value for name, value in settings.items() if name not in names}


def _opened(path: Path) -> Journal | None:
    try:
        return Journal.open(path)
    except ValueError as error:
        log.warning("Zoetrope: %s", error)
        return None
