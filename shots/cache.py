"""Finished pieces of work in a folder: a stage that was done with the same settings is not done again.

A video lies beside a small JSON file of what it was made of. The two appear in this order, so a video without its JSON is one
that somebody stopped in between, and is made again under a new number.
"""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from glob import escape
from pathlib import Path

from ..video.io.whole_file import write_whole
from .journal import LARGEST_HEADER, Scalar, changed

log = logging.getLogger(__name__)

CHUNK = 1 << 20


@dataclass(frozen=True)
class Stage:
    """What one run of a stage makes: `<folder>/<name>_00001_.mp4`."""

    folder: Path
    name: str
    settings: Mapping[str, Scalar]
    """Everything that decides about a picture, by the name that an artist gives it."""

    def done(self) -> Path | None:
        """The newest video that was made with these settings; None where there is none."""
        for path in reversed(self._known()):
            if _read(path) == dict(self.settings) and path.with_suffix(".mp4").is_file():
                return path.with_suffix(".mp4")
        return None

    def fresh(self) -> Path:
        """A path for a new video."""
        taken = [path.stem for path in self.folder.glob(f"{escape(self.name)}_*_.*")]
        numbers = [int(number) for stem in taken if (number := stem[len(self.name) + 1 : -1]).isdecimal()]
        return self.folder / f"{self.name}_{max(numbers, default=0) + 1:05}_.mp4"

    def note(self, video: Path) -> None:
        """Says what a finished video was made of."""
        write_whole(video.with_suffix(".json"), (json.dumps(dict(self.settings), indent=1) + "\n").encode())

    def reason(self) -> list[str]:
        """In words, what is different from the newest video of this name; empty where there is none."""
        known = self._known()
        return changed(_read(known[-1]) or {}, self.settings) if known else []

    def _known(self) -> list[Path]:
        """Notes of this name, oldest first."""
        found = {path: path.stem[len(self.name) + 1 : -1] for path in self.folder.glob(f"{escape(self.name)}_*_.json")}
        return sorted((path for path, number in found.items() if number.isdecimal()), key=lambda path: int(found[path]))


def _read(path: Path) -> dict[str, Scalar] | None:
    try:
        if path.stat().st_size > LARGEST_HEADER:
            raise ValueError(f"more than {LARGEST_HEADER} bytes")
        held = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        log.warning("Zoetrope: %s cannot be read (%s); what it belongs to is made again", path, error)
        return None
    return held if isinstance(held, dict) else None


def file_digest(path: Path) -> str:
    """Of a file's bytes, read piece by piece."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            found.update(piece)
    return f"sha256:{found.hexdigest()}"
