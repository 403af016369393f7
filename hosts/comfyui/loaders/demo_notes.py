"""What the embedded model's text encoder did not understand or assumed, as a line under the node that encodes the prompt."""

import logging
from typing import Any

from comfy_execution.utils import get_executing_context

from ....demo.prompt import Reading
from ..progress import NodeProgress

log = logging.getLogger(__name__)


class PromptNotes:
    """Lines of the nodes that encode prompts with one CLIP: a node with several prompts (a timeline) has all of them."""

    def __init__(self) -> None:
        self._run: Any = None
        self._lines: list[str] = []
        self._marked: set[str] = set()
        """Nodes with a line under them, which a run without notes has to replace: pages keep lines."""

    def of(self, reading: Reading) -> None:
        """Shows a reading's notes in the editor and the log; outside of a node, in the log only."""
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
        NodeProgress(context.node_id, 0).say("\n".join(self._lines) or f"read as {reading.prompt!r}")
