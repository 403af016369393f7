"""Compatibility with input names of 0.1 in queued prompts. web/zoetrope/renamed.js does the same in the editor."""

import sys
from collections.abc import Mapping
from typing import Any

RENAMED: dict[str, dict[str, str]] = {
    "ZoetropeFifoSampler": {"levels": "noise_levels"},
    "ZoetropeLoadVideoCheckpoint": {"fps": "conditioning_fps"},
    "ZoetropeLoadVideoSegment": {"start": "first_frame"},
    "ZoetropeMotionSettings": {"fps": "conditioning_fps"},
    "ZoetropeQueueSettings": {"start": "initial_queue"},
    "ZoetropeSlidingWindows": {"schedule": "window_schedule"},
    "ZoetropeVideoMetrics": {"window": "seam_every"},
}
"""Node id -> old name of an input -> its current name. A node never uses an old name for another input."""


def with_new_names(request: dict[str, Any]) -> dict[str, Any]:
    """A queued request `{"prompt": {id: {"class_type", "inputs"}}}` with inputs renamed to current names."""
    prompt = request.get("prompt")
    if isinstance(prompt, dict):
        request = {**request, "prompt": {key: _node(node) for key, node in prompt.items()}}
    return request


def _node(node: Any) -> Any:
    names = RENAMED.get(str(node.get("class_type")), {}) if isinstance(node, Mapping) else {}
    given = node.get("inputs") if names else None
    if not isinstance(given, Mapping):
        return node
    kept = {name: value for name, value in given.items() if names.get(name) not in given}
    return {**node, "inputs": {names.get(name, name): value for name, value in kept.items()}}


def accept_old_names() -> None:
    """Registers `with_new_names` with the running server; does nothing where there is none."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    if server is not None:
        server.add_on_prompt_handler(with_new_names)
