"""Notes on prompts for the embedded model (unknown words, assumptions) as a line under the node that encodes the prompt."""

import logging
from typing import Any

from comfy_execution.utils import get_executing_context

from ....demo.prompt import Reading
from ..progress import NodeProgress

log = logging.getLogger(__name__)


class PromptNotes:
    """Notes of nodes that encode prompts with one CLIP; a node with several prompts (a timeline) shows those of all."""

    def __init__(self) -> None:
        self._run: Any = None
        self._lines: list[str] = []
        self._marked: set[str] = set()
        """Ids of nodes that show a line, which a run without notes must replace, as the page keeps it."""

    def report(self, reading: Reading) -> None:
        """Writes a prompt's notes to the log and, inside a node, shows them under it."""
        notes = reading.notes()
        if notes:
            log.log(logging.WARNING if reading.misses else logging.INFO, "Zoetrope: %s", "; ".join(notes))
        context = get_executing_context()
        if context is None:
            return
        run = (context.prompt_id, context.node_id)
        if run != self._run:
            self._run, self._lines = run, []
        if notes:
            self._lines.append("; ".join(notes))
            self._marked.add(context.node_id)
        elif self._lines or context.node_id not in self._marked:
            return
        NodeProgress(context.node_id, 0).show_text("\n".join(self._lines) or f"read as {reading.prompt!r}")
