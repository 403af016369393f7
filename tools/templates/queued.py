"""Conversion of a workflow to a queued prompt, as in the frontend."""

from collections.abc import Iterator, Mapping
from typing import Any

from .drawing import Link, Node, Workflow, all_nodes, slots_of, value_of


def api_form(workflow: Workflow, info: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow as a prompt: node id -> {class_type, inputs}, links as [node id, output]."""
    by_key = {one.key: (str(number), one) for number, one in enumerate(all_nodes(workflow), 1)}
    return {number: {"class_type": one.type, "inputs": dict(_inputs(one, by_key, info))} for number, one in by_key.values()}


def _inputs(one: Node, by_key: Mapping[str, tuple[str, Node]], info: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, kind, options, widget in slots_of(one, info):
        given = one.inputs.get(name)
        if isinstance(given, Link):
            key, _, output = given.source.partition(".")
            number, source = by_key[key]
            yield name, [number, info[source.type]["output_name"].index(output)]
        elif widget:
            yield name, value_of(one, name, kind, options)
