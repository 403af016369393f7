"""Draws a workflow in the editor's format: columns of nodes from left to right, each column a group.

A wire to the next column is direct. A wire that goes further runs along a lane of its own above the columns between, through the
editor's native reroutes, so that none runs behind a node. Heights are those that the newest editor's nodes need (heights.json);
nodes that show pictures get more.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HEIGHTS: dict[str, int] = json.loads((Path(__file__).parent / "heights.json").read_text())
TITLE, MARGIN, GAP, LANE, BETWEEN, STEEP = 30, 20, 130, 20, 34, 260
TONES = {
    "ours": {"color": "#2b4a4a", "bgcolor": "#355a5a"},
    "good": {"color": "#232", "bgcolor": "#353"},
    "bad": {"color": "#322", "bgcolor": "#533"},
    "note": {"color": "#432", "bgcolor": "#653"},
    "": {},
}
DYNAMIC = "COMFY_DYNAMICCOMBO_V3"
"""A choice with inputs of its own; SaveVideo's format is one since ComfyUI 0.33."""
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", DYNAMIC}


@dataclass(frozen=True)
class Node:
    key: str
    type: str
    title: str
    inputs: Mapping[str, Any]
    """Widget's value, or `Link`."""
    room: int
    """Pixels beyond what its widgets need: pictures, long texts."""
    tone: str


@dataclass(frozen=True)
class Link:
    """From an output of another node: `key.output`."""

    source: str


@dataclass(frozen=True)
class Column:
    title: str
    nodes: tuple[Node, ...]
    width: int


@dataclass(frozen=True)
class Workflow:
    name: str
    host: str
    """The oldest ComfyUI that has all of its nodes."""
    note: str
    columns: tuple[Column, ...]


def node(key: str, type: str, title: str, /, room: int = 0, tone: str | None = None, **inputs: Any) -> Node:
    """A string `@key.output` is a link."""
    links = {k: Link(v[1:]) if isinstance(v, str) and v.startswith("@") else v for k, v in inputs.items()}
    return Node(key, type, title, links, room, tone if tone is not None else "ours" if type.startswith("Zoetrope") else "")


def column(title: str, *nodes: Node, width: int = 330) -> Column:
    return Column(title, nodes, width)


@dataclass
class _Net:
    """All wires of one output."""

    source: str
    slot: int
    targets: list[tuple[str, int]]
    """(node, input slot)"""


def draw(workflow: Workflow, info: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON. info: the host's /object_info."""
    ids = {one.key: number for number, one in enumerate(all_nodes(workflow), 1)}
    assert len(ids) == len(all_nodes(workflow)), f"{workflow.name}: a key is used twice"
    places = _places(workflow)
    nets = _nets(workflow, info)
    nodes = {one.key: _node(one, ids, places, info) for one in all_nodes(workflow)}
    wires = _Wires(workflow, ids, places, nets, nodes)
    wires.lay()
    note = _note(workflow, len(ids) + 1)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"zoetrope/{workflow.name}")), "revision": 0, "last_node_id": len(ids) + 1,
        "last_link_id": len(wires.links), "nodes": [*nodes.values(), note], "links": wires.links,
        "groups": list(_groups(workflow, places)), "config": {},
        "extra": {
            "zoetrope": {"host": workflow.host}, "ds": {"scale": 0.8, "offset": [460, 160]}, "reroutes": wires.reroutes,
            "linkExtensions": wires.extensions,
        },
        "version": 0.4,
    }  # fmt: skip


def all_nodes(workflow: Workflow) -> list[Node]:
    return [one for column in workflow.columns for one in column.nodes]


def height(one: Node) -> int:
    return HEIGHTS[one.type] + one.room


def _places(workflow: Workflow) -> dict[str, tuple[int, int, int, int, int]]:
    """Node -> (column, x, y, width, height) of its body."""
    places, x = {}, 0
    for number, column in enumerate(workflow.columns):
        y = 0
        for one in column.nodes:
            y += TITLE
            places[one.key] = (number, x, y, column.width, height(one))
            y += height(one) + BETWEEN
        x += column.width + GAP
    return places


def _groups(workflow: Workflow, places: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, column in enumerate(workflow.columns, 1):
        boxes = [places[one.key] for one in column.nodes]
        bottom = max(y + h for _, _, y, _, h in boxes)
        yield {
            "id": number, "title": column.title, "color": "#3f789e", "font_size": 24, "flags": {},
            "bounding": [boxes[0][1] - MARGIN, -46, column.width + 2 * MARGIN, bottom + 46 + MARGIN],
        }  # fmt: skip


def _note(workflow: Workflow, number: int) -> dict[str, Any]:
    """Left of everything: what this makes, and what to change first."""
    text = f"{workflow.note.strip()}\n\nRuns on ComfyUI {workflow.host} or newer.".replace(
        "`", "**"
    )  # code is hard to read in notes
    lines = sum(1 + len(line) // 46 for line in text.splitlines())
    return {
        "id": number, "type": "MarkdownNote", "pos": [-430, -16], "size": [370, 60 + 25 * lines], "flags": {}, "order": 0,
        "mode": 0, "inputs": [], "outputs": [], "title": "Read me", "properties": {}, "widgets_values": [text], **TONES["note"],
    }  # fmt: skip


def slots_of(one: Node, info: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    """(name, type, options, whether it is a widget) of every input, as the frontend orders them."""
    yield from _slots(one, info[one.type]["input"], "")


def _slots(one: Node, declared: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, dict[str, Any], bool]]:
    for part in ("required", "optional"):
        for short, spec in declared.get(part, {}).items():
            name, kind = prefix + short, "COMBO" if isinstance(spec[0], list) else spec[0]
            options = {**({"options": spec[0]} if isinstance(spec[0], list) else {}), **(spec[1] if len(spec) > 1 else {})}
            of_choice = {}
            if kind == DYNAMIC:
                of_choice = {choice["key"]: choice["inputs"] for choice in options["options"]}
                options["options"] = list(of_choice)
            yield name, kind, options, kind in WIDGETS and not options.get("forceInput")
            if of_choice:
                yield from _slots(one, of_choice[value_of(one, name, kind, options)], f"{name}.")


def _node(one: Node, ids: Mapping[str, int], places: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, Any]:
    slots = list(slots_of(one, info))
    unknown = set(one.inputs) - {name for name, *_ in slots}
    assert not unknown, f"{one.type} has no inputs {unknown}"
    sockets = [(name, kind, widget) for name, kind, _, widget in slots if not widget or isinstance(one.inputs.get(name), Link)]
    inputs = [
        {"name": name, "type": kind, "link": None, **({"widget": {"name": name}} if widget else {})}
        for name, kind, widget in sockets
    ]
    outputs = [
        {"name": name, "type": kind, "links": []}
        for name, kind in zip(info[one.type]["output_name"], info[one.type]["output"], strict=True)
    ]
    _, x, y, width, tall = places[one.key]
    return {
        "id": ids[one.key], "type": one.type, "pos": [x, y], "size": [width, tall], "flags": {}, "order": ids[one.key] - 1,
        "mode": 0, "inputs": inputs, "outputs": outputs, "title": one.title,
        "properties": {"Node name for S&R": one.type}, "widgets_values": list(_values(one, slots)), **TONES[one.tone],
    }  # fmt: skip


def _values(one: Node, slots: list[tuple[str, str, dict[str, Any], bool]]) -> Iterator[Any]:
    for name, kind, options, widget in slots:
        if not widget:
            continue
        yield value_of(one, name, kind, options)
        if options.get("control_after_generate") or (
            kind == "INT" and name in ("seed", "noise_seed") and "Zoetrope" not in one.type
        ):
            yield "fixed"
        if options.get("image_upload") or options.get("video_upload"):
            yield "image"


def value_of(one: Node, name: str, kind: str, options: Mapping[str, Any]) -> Any:
    """What stands in a widget: what the workflow says, else what the host puts there."""
    given = one.inputs.get(name)
    if given is not None and not isinstance(given, Link):
        return given
    usual: dict[str, Any] = {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}
    return options.get("default", (options.get("options") or [usual.get(kind, "")])[0])


def _nets(workflow: Workflow, info: Mapping[str, Any]) -> list[_Net]:
    nets: dict[tuple[str, int], _Net] = {}
    by_key = {one.key: one for one in all_nodes(workflow)}
    for one in all_nodes(workflow):
        sockets = [name for name, _, _, widget in slots_of(one, info) if not widget or isinstance(one.inputs.get(name), Link)]
        for at, name in enumerate(sockets):
            given = one.inputs.get(name)
            if isinstance(given, Link):
                key, _, output = given.source.partition(".")
                slot = info[by_key[key].type]["output_name"].index(output)
                nets.setdefault((key, slot), _Net(key, slot, [])).targets.append((one.key, at))
    order = {one.key: number for number, one in enumerate(all_nodes(workflow))}
    return sorted(nets.values(), key=lambda net: (order[net.source], net.slot))


class _Wires:
    """Links, and the reroutes of those that go far: along a lane above the columns between, straight up and down in the gaps."""

    def __init__(self, workflow: Workflow, ids: Any, places: Any, nets: list[_Net], nodes: dict[str, Any]):
        self._columns, self._ids, self._places, self._nets, self._nodes = workflow.columns, ids, places, nets, nodes
        self._knots: dict[tuple[Any, ...], dict[str, Any]] = {}
        far = [net for net in nets if any(self._span(net, target) > 1 for target, _ in net.targets)]
        self._lanes = {id(net): -64 - LANE * (len(far) - 1 - number) for number, net in enumerate(far)}
        self.links: list[list[Any]] = []
        self.reroutes: list[dict[str, Any]] = []
        self.extensions: list[dict[str, int]] = []

    def lay(self) -> None:
        for net in self._nets:
            for target, slot in sorted(net.targets, key=lambda one: self._places[one[0]][0]):
                assert self._span(net, target) > 0, f"{net.source} -> {target}: wires go from left to right"
                link, knot = self._link(net, target, slot), None
                for place in self._path(net, target, slot):
                    knot = self._knot(net, place, knot, link)
                if knot:
                    self.extensions.append({"id": link, "parentId": knot["id"]})

    def _span(self, net: _Net, target: str) -> int:
        return self._places[target][0] - self._places[net.source][0]

    def _port(self, key: str, slot: int) -> int:
        """Its height, between what the two renderers make of it."""
        return self._places[key][2] + 14 + 22 * slot

    def _path(self, net: _Net, target: str, slot: int) -> list[tuple[int, int]]:
        """(gap, height) of every bend."""
        start, end = self._places[net.source][0], self._places[target][0] - 1
        leaves, arrives = self._port(net.source, net.slot), self._port(target, slot)
        if start == end:
            return [(start, leaves), (end, arrives)] if abs(leaves - arrives) > STEEP else []
        lane = self._lanes[id(net)]
        up = [(start, leaves)] if leaves - lane > STEEP else []
        down = [(end, arrives)] if arrives - lane > STEEP else []
        return [*up, (start, lane), (end, lane), *down]

    def _knot(self, net: _Net, place: tuple[int, int], before: dict[str, Any] | None, link: int) -> dict[str, Any]:
        key = (id(net), place, before and before["id"])
        if key not in self._knots:
            made: dict[str, Any] = {"id": len(self.reroutes) + 1, "pos": [self._across(net, place[0]), place[1]], "linkIds": []}
            if before:
                made["parentId"] = before["id"]
            self._knots[key] = made
            self.reroutes.append(made)
        self._knots[key]["linkIds"].append(link)
        return self._knots[key]

    def _across(self, net: _Net, gap: int) -> int:
        """Every output has a place of its own in a gap."""
        bends = [one for one in self._nets if any(gap == at for goal in one.targets for at, _ in self._path(one, *goal))]
        right = sum(column.width + GAP for column in self._columns[: gap + 1]) - GAP
        return right + round(GAP * (1 + bends.index(net)) / (1 + len(bends)))

    def _link(self, net: _Net, target: str, slot: int) -> int:
        number = len(self.links) + 1
        socket = self._nodes[target]["inputs"][slot]
        output = self._nodes[net.source]["outputs"][net.slot]
        kind = output["type"] if output["type"] != "*" else socket["type"]
        self.links.append([number, self._ids[net.source], net.slot, self._ids[target], slot, kind])
        output["links"].append(number)
        socket["link"] = number
        return number
