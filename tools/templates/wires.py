"""Positions of nodes and wires in a drawn workflow."""

from collections.abc import Mapping
from typing import Any

from .routing import TITLE


def bodies(graph: Mapping[str, Any]) -> dict[int, tuple[float, float, float, float]]:
    """Node id -> (left, top, right, bottom), title included."""
    return {
        one["id"]: (one["pos"][0], one["pos"][1] - TITLE, one["pos"][0] + one["size"][0], one["pos"][1] + one["size"][1])
        for one in graph["nodes"]
    }


def wire_of(graph: Mapping[str, Any], link: list[Any]) -> list[tuple[float, float]]:
    """Path of a wire: from its output over the bends to its input."""
    number, source, output, target, slot, _ = link
    nodes = {node["id"]: node for node in graph["nodes"]}
    knots = {knot["id"]: knot for knot in graph["extra"]["reroutes"]}
    at = {one["id"]: one["parentId"] for one in graph["extra"]["linkExtensions"]}.get(number)
    bends = []
    while at:
        assert number in knots[at]["linkIds"]
        bends.append(tuple(knots[at]["pos"]))
        at = knots[at].get("parentId")
    (left, top), (width, _) = nodes[source]["pos"], nodes[source]["size"]
    end = (nodes[target]["pos"][0], nodes[target]["pos"][1] + 14 + 22 * slot)
    return [(left + width, top + 14 + 22 * output), *reversed(bends), end]
