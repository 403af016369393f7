"""Prompts of the command line: read, and reported where they were not understood as they stand."""

import sys

from ..demo.prompt import Reading, read_prompt
from ..demo.words import GRAMMAR


def understand(prompt: str, rate: int | None = None, picture: bool = False) -> Reading:
    """As `read_prompt`; what is left out, exchanged or assumed goes to stderr."""
    reading = read_prompt(prompt, rate, picture)
    notes = reading.notes()
    if notes and reading.unknown and reading.prompt:
        notes.append(f"the embedded model knows {GRAMMAR}")
    if not prompt.strip():
        notes = ["the prompt is empty: any shape may appear"]
    for note in notes:
        print(f"zoetrope: {note}", file=sys.stderr)
    return reading
