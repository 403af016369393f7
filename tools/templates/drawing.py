"""Draws a workflow in the editor's format: columns of nodes from left to right, each column a group; `routing` lays the wires.

Heights are those that the newest editor's nodes need (heights.json); nodes that show pictures get more.
"""

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .routing import GROUP_HEAD, MARGIN, TITLE, Net, Plan, knots

MISSING = 30
PICKS_A_FILE = {
    "CLIPLoader", "CLIPVisionLoader", "CheckpointLoaderSimple", "ControlNetLoader", "FrameInterpolationModelLoader", "LoraLoader",
    "UNETLoader", "VAELoader", "ZoetropeApplyMotionLora", "ZoetropeLoadImageProjector", "ZoetropeLoadMotionModule", "ZoetropeLoadSparseCtrl",
    "ZoetropeLoadTemporalVae", "ZoetropeLoadVideoCheckpoint", "ZoetropeLoadVideoUpscaler", "ZoetropeLoraByFrame",
}  # fmt: skip
HEIGHTS: dict[str, int] = json.loads((Path(__file__).parent / "heights.json").read_text())
NOTE = 344
WINDOW, SMALLEST = (1480, 720), 0.58
"""Pixels that a window of 1600 x 900 has for a graph; the scale below which the classic renderer draws no words."""
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
    """Link from an output of another node: `key.output`."""

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
    """Makes a node; a string `@key.output` is a link, None is left out."""
    links = {k: Link(v[1:]) if isinstance(v, str) and v.startswith("@") else v for k, v in inputs.items() if v is not None}
    return Node(key, type, title, links, room, tone if tone is not None else "ours" if type.startswith("Zoetrope") else "")


def column(title: str, *nodes: Node, width: int = 284) -> Column:
    return Column(title, nodes, width)


def draw(workflow: Workflow, info: Mapping[str, Any]) -> dict[str, Any]:
    """The workflow as JSON. info: the host's /object_info."""
    from .app import linear_data

    ids = {one.key: number for number, one in enumerate(all_nodes(workflow), 1)}
    assert len(ids) == len(all_nodes(workflow)), f"{workflow.name}: a key is used twice"
    nets = _nets(workflow, info)
    plan = Plan(
        [(column.width, [(one.key, height(one), below(one)) for one in column.nodes]) for column in workflow.columns], nets
    )
    nodes = {one.key: _node(one, ids, plan.places, info) for one in all_nodes(workflow)}
    links, numbers = _links(nets, ids, nodes)
    reroutes, extensions = knots(plan, nets, numbers)
    note = _note(workflow, len(ids) + 1, plan.left)
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"zoetrope/{workflow.name}")), "revision": 0, "last_node_id": len(ids) + 1,
        "last_link_id": len(links), "nodes": [*nodes.values(), note], "links": links,
        "groups": list(_groups(workflow, plan.places)), "config": {},
        "extra": {
            "zoetrope": {"host": workflow.host}, "ds": _view([*nodes.values(), note]), "reroutes": reroutes,
            "linkExtensions": extensions, "linearData": linear_data(workflow),
        },
        "version": 0.4,
    }  # fmt: skip


def all_nodes(workflow: Workflow) -> list[Node]:
    return [one for column in workflow.columns for one in column.nodes]


def height(one: Node) -> int:
    return HEIGHTS[one.type] + one.room


def below(one: Node) -> int:
    """Room for the line that newer editors put below a node while its model file is missing."""
    return MISSING if one.type in PICKS_A_FILE else 0


def _groups(workflow: Workflow, places: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for number, column in enumerate(workflow.columns, 1):
        boxes = [places[one.key] for one in column.nodes]
        bottom = max(y + h + below(one) for one, (_, _, y, _, h) in zip(column.nodes, boxes, strict=True))
        yield {
            "id": number, "title": column.title, "color": "#3f789e", "font_size": 24, "flags": {},
            "bounding": [boxes[0][1] - MARGIN, -GROUP_HEAD, column.width + 2 * MARGIN, bottom + GROUP_HEAD + MARGIN],
        }  # fmt: skip


def _note(workflow: Workflow, number: int, right: int) -> dict[str, Any]:
    """Note to the left of the graph: its result, and inputs to change first. Code in backticks is hard to read in notes."""
    text = f"{workflow.note.strip()}\n\nRuns on ComfyUI {workflow.host} or newer.".replace("`", "**")
    lines = sum(1 + len(line) // (NOTE // 8) for line in text.splitlines())
    return {
        "id": number, "type": "MarkdownNote", "pos": [right - NOTE, TITLE], "size": [NOTE, 60 + 25 * lines], "flags": {}, "order": 0,
        "mode": 0, "inputs": [], "outputs": [], "title": "Read me", "properties": {}, "widgets_values": [text], **TONES["note"],
    }  # fmt: skip


def _view(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Saved view of the canvas: all of the graph in a small window, or else its beginning."""
    left, top = (min(one["pos"][axis] for one in nodes) for axis in (0, 1))
    right, bottom = (max(one["pos"][axis] + one["size"][axis] for one in nodes) for axis in (0, 1))
    scale = max(SMALLEST, min(WINDOW[0] / (right - left), WINDOW[1] / (bottom - top), 1))
    return {"scale": round(scale, 3), "offset": [round(-left + 90 / scale), round(-top + 110 / scale)]}


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
    """Value of a widget: from the workflow, else the host's default."""
    given = one.inputs.get(name)
    if given is not None and not isinstance(given, Link):
        return given
    usual: dict[str, Any] = {"INT": 0, "FLOAT": 0.0, "BOOLEAN": False}
    return options.get("default", (options.get("options") or [usual.get(kind, "")])[0])


def _nets(workflow: Workflow, info: Mapping[str, Any]) -> list[Net]:
    nets: dict[tuple[str, int], Net] = {}
    by_key = {one.key: one for one in all_nodes(workflow)}
    for one in all_nodes(workflow):
        sockets = [name for name, _, _, widget in slots_of(one, info) if not widget or isinstance(one.inputs.get(name), Link)]
        for at, name in enumerate(sockets):
            given = one.inputs.get(name)
            if isinstance(given, Link):
                key, _, output = given.source.partition(".")
                slot = info[by_key[key].type]["output_name"].index(output)
                nets.setdefault((key, slot), Net(key, slot, [])).targets.append((one.key, at))
    order = {one.key: number for number, one in enumerate(all_nodes(workflow))}
    return sorted(nets.values(), key=lambda net: (order[net.source], net.slot))


def _links(nets: list[Net], ids: Mapping[str, int], nodes: Mapping[str, Any]) -> tuple[list[Any], dict[Any, int]]:
    """The wires, and the number of each by (net, target, slot)."""
    links: list[Any] = []
    numbers = {}
    for net in nets:
        output = nodes[net.source]["outputs"][net.slot]
        for target, slot in net.targets:
            socket = nodes[target]["inputs"][slot]
            kind = output["type"] if output["type"] != "*" else socket["type"]
            number = numbers[id(net), target, slot] = len(links) + 1
            links.append([number, ids[net.source], net.slot, ids[target], slot, kind])
            output["links"].append(number)
            socket["link"] = number
    return links, numbers
