"""Control of a live shot by a text file that may be changed while it runs.

    a blue circle on white
    strength: 0.6

The text is the prompt, on one or more lines; a line `strength: 0.6` sets the strength. An empty file changes nothing.
"""

import re
import time
from pathlib import Path

from .record import LONGEST_PROMPT, Change

LOOK_EVERY = 0.2
"""Seconds between two looks at the file."""
STRENGTH = re.compile(r"strength\s*:\s*(\S*)\s*", re.IGNORECASE)


def read_control(text: str, name: str) -> tuple[str | None, float | None]:
    """(prompt, strength) of a control file; None for what it does not set. Raises ValueError for an invalid strength."""
    if len(text) > LONGEST_PROMPT:
        raise ValueError(f"{name}: expected at most {LONGEST_PROMPT} characters, got {len(text)}")
    prompt, strength = [], None
    for line in text.splitlines():
        found = STRENGTH.fullmatch(line.strip())
        if not found:
            prompt.append(line.strip())
            continue
        try:
            strength = float(found[1])
        except ValueError:
            strength = float("nan")
        if not 0 < strength <= 1:
            raise ValueError(f"{name}: strength: expected a number above 0, up to 1, got {found[1][:40]!r}")
    return " ".join(filter(None, prompt)) or None, strength


class ControlFile:
    """A text file that is read again when it has changed. at_once: whether frames in the queue get a new prompt too."""

    def __init__(self, path: Path, at_once: bool = False):
        self._path, self._at_once = path, at_once
        self._next, self._stamp = 0.0, (-1, -1)

    def changed(self, prompt: str | None, strength: float | None) -> Change | None:
        """The change of the shot's newest values to those of the file. Raises ValueError, once, for a file with an error."""
        if time.monotonic() < self._next:
            return None
        self._next = time.monotonic() + LOOK_EVERY
        try:
            status = self._path.stat()
            if (status.st_mtime_ns, status.st_size) == self._stamp:
                return None
            self._stamp = (status.st_mtime_ns, status.st_size)
            if status.st_size > 4 * LONGEST_PROMPT:
                raise ValueError(f"{self._path.name}: expected at most {LONGEST_PROMPT} characters")
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ValueError(f"{self._path.name}: cannot be read ({error.strerror})") from error
        except UnicodeDecodeError as error:
            raise ValueError(f"{self._path.name}: expected text in UTF-8 ({error.reason})") from error
        new_prompt, new_strength = read_control(text, self._path.name)
        new_prompt = None if new_prompt == prompt else new_prompt
        new_strength = None if new_strength == strength else new_strength
        if new_prompt is None and new_strength is None:
            return None
        return Change(0, new_prompt, new_strength, self._at_once)
