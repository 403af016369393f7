"""The page fills in what a filename_prefix names, as it does for Save Image."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def queued(*nodes: dict[str, Any], host: bool = True) -> list[list[Any]]:
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node")
    command = [node, str(ROOT / "tests" / "web" / "prefix.mjs"), str(ROOT / "web" / "zoetrope" / "prefix.js")]
    asked = json.dumps({"host": host, "nodes": nodes})
    return json.loads(subprocess.run(command, input=asked, capture_output=True, text=True, check=True, timeout=60).stdout)


def node(name: str, widget: str = "filename_prefix") -> dict[str, Any]:
    return {"comfyClass": name, "widgets": [{"name": "fps", "value": 8}, {"name": widget, "value": "%date:yyyy-MM-dd%/shot"}]}


def test_our_nodes_have_the_host_fill_in_their_prefix_and_nothing_else() -> None:
    ours = [node(f"Zoetrope{name}") for name in ("EndlessShot", "DecodeVideoToFile", "InterpolateFrames", "UpscaleVideo")]
    assert queued(*ours) == [[8, "2026-11-28/shot"]] * 4
    assert queued(node("SomebodysNode"), node("ZoetropeEndlessShot", "prompt")) == [[8, "%date:yyyy-MM-dd%/shot"]] * 2


def test_a_host_without_that_function_queues_what_was_typed() -> None:
    assert queued(node("ZoetropeEndlessShot"), host=False) == [[8, "%date:yyyy-MM-dd%/shot"]]


def test_the_page_loads_it() -> None:
    page = (ROOT / "web" / "zoetrope.js").read_text()
    assert "import { fillInPrefix } from './zoetrope/prefix.js'" in page
    assert "fillInPrefix(node, app)" in page
