"""Cache of finished videos in a folder: a stage is not run again with the same settings.

Beside each video is a JSON file with its settings, written after it; a video without one is incomplete and is made again under
a new number.
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
    """A stage with its settings, whose videos are `<folder>/<name>_00001_.mp4`."""

    folder: Path
    name: str
    settings: Mapping[str, Scalar]
    """All settings that the pixels depend on, by the names shown to artists."""

    def done(self) -> Path | None:
        """The newest video with these settings, or None."""
        for path in reversed(self._known()):
            if _read(path) == dict(self.settings) and path.with_suffix(".mp4").is_file():
                return path.with_suffix(".mp4")
        return None

    def fresh(self) -> Path:
        """An unused path for a new video."""
        taken = [path.stem for path in self.folder.glob(f"{escape(self.name)}_*_.*")]
        numbers = [int(number) for stem in taken if (number := stem[len(self.name) + 1 : -1]).isdecimal()]
        return self.folder / f"{self.name}_{max(numbers, default=0) + 1:05}_.mp4"

    def note(self, video: Path) -> None:
        """Stores the settings of a finished video beside it."""
        write_whole(video.with_suffix(".json"), (json.dumps(dict(self.settings), indent=1) + "\n").encode())

    def reason(self) -> list[str]:
        """Differences from the settings of the newest video of this name, as text; empty without one."""
        known = self._known()
        return changed(_read(known[-1]) or {}, self.settings) if known else []

    def _known(self) -> list[Path]:
        """Paths of the JSON files of this name, oldest first."""
        found = {path: path.stem[len(self.name) + 1 : -1] for path in self.folder.glob(f"{escape(self.name)}_*_.json")}
        return sorted((path for path, number in found.items() if number.isdecimal()), key=lambda path: int(found[path]))


def _read(path: Path) -> dict[str, Scalar] | None:
    try:
        if path.stat().st_size > LARGEST_HEADER:
            raise ValueError(f"more than {LARGEST_HEADER} bytes")
        settings = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        log.warning("Zoetrope: %s cannot be read (%s); its video is made again", path, error)
        return None
    return settings if isinstance(settings, dict) else None


def file_digest(path: Path) -> str:
    """`sha256:...` of a file, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"
