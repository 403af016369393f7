"""Inputs that had other names in 0.1: prompts and graphs written for it have today's names when they run."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytestmark = [pytest.mark.host, pytest.mark.one_host]

ROOT = Path(__file__).parents[2]


def editor(graph: dict[str, Any]) -> dict[str, Any]:
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node")
    command = [node, str(ROOT / "tests" / "web" / "renamed.mjs"), str(ROOT / "web" / "zoetrope" / "renamed.js")]
    return json.loads(subprocess.run(command, input=json.dumps(graph), capture_output=True, text=True, check=True).stdout)


def test_every_new_name_is_an_input_and_no_old_one_is() -> None:
    from zoetrope.nodes import comfy_entrypoint
    from zoetrope.nodes.renamed import RENAMED

    nodes = asyncio.run(asyncio.run(comfy_entrypoint()).get_node_list())
    inputs = {node.GET_SCHEMA().node_id: {one.id for one in node.GET_SCHEMA().inputs} for node in nodes}
    for node, names in RENAMED.items():
        assert set(names.values()) <= inputs[node]
        assert not set(names) & inputs[node]


def test_a_prompt_of_0_1_gets_the_new_names_and_nothing_else_changes() -> None:
    from zoetrope.nodes.renamed import with_new_names

    old = {"window": 4, "start": "noise", "model": ["2", 0]}
    request = {
        "client_id": "x",
        "prompt": {
            "1": {"class_type": "ZoetropeQueueSettings", "inputs": old},
            "2": {"class_type": "SomebodysNode", "inputs": {"start": 1}},
            "3": {"class_type": "ZoetropeQueueSettings", "inputs": {"initial_queue": "noise", "start": "base clip"}},
            "4": "no node",
        },
    }
    renamed = with_new_names(request)
    assert renamed["prompt"]["1"]["inputs"] == {"window": 4, "initial_queue": "noise", "model": ["2", 0]}
    assert renamed["prompt"]["2"] == request["prompt"]["2"]
    assert renamed["prompt"]["3"]["inputs"] == {"initial_queue": "noise"}
    assert renamed["prompt"]["4"] == "no node"
    assert renamed["client_id"] == "x"
    assert "start" in old  # the request that came in is left as it was
    assert with_new_names({"prompt": None}) == {"prompt": None}


def test_the_server_applies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.nodes.renamed import accept_old_names, with_new_names

    class Server:
        def __init__(self) -> None:
            self.handlers: list[Any] = []

        def add_on_prompt_handler(self, handler: Any) -> None:
            self.handlers.append(handler)

    server = Server()
    monkeypatch.delitem(sys.modules, "server", raising=False)
    accept_old_names()  # no server: the nodes are used from Python
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace(PromptServer=SimpleNamespace(instance=server)))
    accept_old_names()
    assert server.handlers == [with_new_names]


def test_the_editor_renames_links_and_widgets_in_graphs_and_subgraphs() -> None:
    from zoetrope.nodes.renamed import RENAMED

    def node(link: int) -> dict[str, Any]:
        linked = {"name": "start", "localized_name": "start", "widget": {"name": "start"}, "link": link}
        return {
            "type": "ZoetropeLoadVideoSegment",
            "inputs": [{"name": "video", "link": 1}, linked],
            "widgets_values": [7, 16, 1],
        }

    other = {"type": "KSampler", "inputs": [{"name": "start", "link": 9}]}
    made = editor({"nodes": [node(2), other], "definitions": {"subgraphs": [{"nodes": [node(3)]}]}})
    assert made["table"] == RENAMED
    first, second = made["graph"]["nodes"]
    inner = made["graph"]["definitions"]["subgraphs"][0]["nodes"][0]
    for one, link in ((first, 2), (inner, 3)):
        assert one["inputs"][1] == {
            "name": "first_frame", "localized_name": "first_frame", "widget": {"name": "first_frame"}, "link": link,
        }  # fmt: skip
        assert one["widgets_values"] == [7, 16, 1]
    assert second == other


TEMPLATES = sorted((Path(__file__).parent / "data" / "templates_0_1").glob("*.json"))
WIDGETS = {"INT": int, "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool, "COMBO": (str, int, float)}


def widgets(schema: Any) -> list[tuple[str, Any, list[Any] | None]]:
    """(name, type, options) of a node's widgets in the order in which a graph stores their values."""
    found: list[tuple[str, Any, list[Any] | None]] = []
    for one in schema.inputs:
        kind = str(one.get_io_type())
        if kind in WIDGETS and not getattr(one, "force_input", False):
            found.append((one.id, WIDGETS[kind], list(one.options) if kind == "COMBO" else None))
            if getattr(one, "control_after_generate", False):
                found.append(("control_after_generate", str, ["fixed", "increment", "decrement", "randomize"]))
    return found


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_every_template_of_0_1_opens_with_its_links_and_values(path: Path) -> None:
    """Values are stored by position: as many as there are widgets, each of its widget's type and among its options."""
    from zoetrope.nodes import comfy_entrypoint

    nodes = asyncio.run(asyncio.run(comfy_entrypoint()).get_node_list())
    schemas = {node.GET_SCHEMA().node_id: node.GET_SCHEMA() for node in nodes}
    graph = editor(json.loads(path.read_text()))["graph"]
    ours = [node for node in graph["nodes"] if node["type"].startswith("Zoetrope")]
    assert ours
    for node in ours:
        schema = schemas[node["type"]]
        assert {one["name"] for one in node.get("inputs", ())} <= {one.id for one in schema.inputs}, node["type"]
        assert [one["name"] for one in node.get("outputs", ())] == [one.display_name for one in schema.outputs][
            : len(node["outputs"])
        ]
        values = node.get("widgets_values", [])
        expected = widgets(schema)
        assert len(values) <= len(expected), (node["type"], values)
        for value, (name, kind, options) in zip(values, expected, strict=False):
            assert isinstance(value, kind), (node["type"], name, value)
            assert options is None or name.endswith("_name") or value in options, (node["type"], name, value)


def test_there_are_templates_of_0_1() -> None:
    assert len(TEMPLATES) == 26
