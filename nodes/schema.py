"""Schemas of the pack's nodes, for hosts with different schema fields."""

from inspect import signature
from typing import Any

from ..hosts.comfyui.api import io
from .aliases import words_of


def known(**fields: Any) -> dict[str, Any]:
    """The given fields that this host's schemas have."""
    return {name: value for name, value in fields.items() if name in signature(io.Schema).parameters}


class Schema(io.Schema):
    """The host's schema with search aliases (`aliases.py`), where it supports them."""

    def __init__(self, node_id: str, **fields: Any):
        super().__init__(node_id=node_id, **known(search_aliases=words_of(node_id)), **fields)
