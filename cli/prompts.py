"""Parsing of prompts on the command line, with messages on stderr."""

import sys

from ..demo.prompt import Reading, read_prompt
from ..demo.words import GRAMMAR


def understand(prompt: str, rate: int | None = None, picture: bool = False) -> Reading:
    """As `read_prompt`; prints words that are left out, replaced or assumed to stderr."""
    reading = read_prompt(prompt, rate, picture)
    notes = reading.notes()
    if notes and reading.unknown and reading.prompt:
        notes.append(f"known words: {GRAMMAR}")
    if not prompt.strip():
        notes = ["the prompt is empty: any shape may appear"]
    for note in notes:
        print(f"zoetrope: {note}", file=sys.stderr)
    return reading
