"""Workflows that somebody has tampered with, queued to real servers: no crash, no file where none belongs, errors in words."""

import json
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosting
import pytest
from real_server import Server, serve
from templates import WORKFLOWS

pytestmark = [pytest.mark.e2e, pytest.mark.host, pytest.mark.slow]

COUNT = 500
QUICK: dict[str, dict[str, Any]] = {
    "KSampler": {"steps": 1}, "EmptyLatentImage": {"batch_size": 2, "width": 32, "height": 32}, "BasicScheduler": {"steps": 4},
    "ZoetropeEndlessShot": {"frames": 2, "preset": "fast"}, "ZoetropeFifoSampler": {"frames": 2},
    "ZoetropeInterpolateFrames": {"steps": 1, "factor": 2}, "ZoetropeUpscaleVideo": {"steps": 1},
    "ZoetropeVaeRoundTrip": {"frames": 2, "changes": "as it is"}, "ZoetropeLoadVideoSegment": {"count": 2},
    "ZoetropeQueueSettings": {"window": 4, "partitions": 1, "context": 1, "shift": 1},
    "ZoetropeLongShotNoise": {"window": 2, "overlap": 1}, "ZoetropeSlidingWindows": {"window": 2, "overlap": 1},
    "ZoetropeShotPlan": {"frames": 2},
}  # fmt: skip
"""So that what is still possible takes a second."""
ODD: list[Any] = [
    None, True, False, [], {}, [[]], {"a": 1}, "text", "", -1, 0, 1.5, -0.0, 1e308, -1e308, float("nan"), float("inf"), 2**31,
    2**63, 2**64, -(2**70), 10**30, "NaN", "1e9", "\u0661\u0662", "a" * 20_000, ["99", 0], ["1", 99], ["1"], [1, 2, 3],
    ["1", "0"], ["1", -1], "0: a / 0: b", "0: a ~4", "48", "0: 1 / 4: x", "down: x", "1,2,a", "0 " * 5000,
]  # fmt: skip
PATHS = [
    "../../escape", "/tmp/zoetrope_escape/x", "..\\..\\escape", "zoetrope/../../../escape", "link/escape", "link", "C:\\escape",
    "~/escape", "\u202e\u0665/\u540d", "a/" * 120 + "b", "b" * 300, "con", ".", "..", "/", "x/", "x/.", "x\0y", "file:///tmp/x",
    "http://127.0.0.1:1/x.mp4", "%date:yyyy%/../../escape", "\u540d\u524d/\u30b7\u30e7\u30c3\u30c8", "film \U0001f39e", "a\nb",
    "%width%", "zoetrope/*", "zoetrope/[a]", "shot_\u00b2",
]  # fmt: skip


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(request.param, tmp_path_factory.mktemp("host")) as running:
        yield running


def quick(graph: dict[str, Any]) -> dict[str, Any]:
    """The same with a short queue for its long shots."""
    inputs = {**QUICK["ZoetropeQueueSettings"], "eta": 1.0, "windows_per_call": 1, "initial_queue": "noise"}
    graph["900"] = {"class_type": "ZoetropeQueueSettings", "inputs": inputs}
    for node in graph.values():
        if node["class_type"] in ("ZoetropeEndlessShot", "ZoetropeShotPlan", "ZoetropeFifoSampler"):
            node["inputs"]["queue"] = ["900", 0]
    return graph


DEEDS = [
    "value", "value", "value", "link", "missing input", "new input", "other output", "missing node", "unknown node", "loop",
]  # fmt: skip


def mutated(graph: dict[str, Any], draw: random.Random) -> tuple[str, dict[str, Any]]:
    """What was done, and the graph it was done to."""
    graph = json.loads(json.dumps(graph))
    number = draw.choice([key for key, node in graph.items() if node["class_type"].startswith("Zoetrope")] or list(graph))
    inputs = graph[number]["inputs"]
    texts = [name for name, value in inputs.items() if isinstance(value, str)]
    deed = draw.choice(DEEDS + ["path"] * 4 if texts else DEEDS)
    name = draw.choice(sorted(inputs)) if inputs else "nothing"
    if deed == "path":
        name = draw.choice(texts)
        inputs[name] = draw.choice(PATHS)
    elif deed == "value":
        inputs[name] = draw.choice(ODD)
    elif deed == "link":
        inputs[name] = [draw.choice(list(graph)), draw.randint(0, 6)]
    elif deed == "missing input":
        inputs.pop(name, None)
    elif deed == "new input":
        # no links: a link of an input that no node knows, to a node that is not there, ends the worker of ComfyUI 0.3.64 itself
        inputs[draw.choice(["settings", "\u00e9", "__class__", "self", "cls"])] = draw.choice(
            [v for v in ODD if not isinstance(v, list)]
        )
    elif deed == "other output":
        inputs[name] = [number, 0]
    elif deed == "missing node":
        del graph[draw.choice(list(graph))]
    elif deed == "unknown node":
        graph[number]["class_type"] = draw.choice(["ZoetropeNothing", "", "../x", "os.system"])
    elif deed == "loop":
        last = list(graph)[-1]
        graph[last]["inputs"][draw.choice(sorted(graph[last]["inputs"]) or ["x"])] = [last, 0]
    return f"{graph.get(number, {}).get('class_type')}.{name} {deed}: {str(inputs.get(name))[:60]!r}", graph


def everything_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "__pycache__" not in path.parts}


def test_mutated_workflows_crash_nothing_and_write_nothing_elsewhere(server: Server, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (server.folder / "output").mkdir(exist_ok=True)
    (server.folder / "output" / "link").symlink_to(outside)
    escape = Path("/tmp/zoetrope_escape")
    assert not escape.exists()
    sure = {"output", "temp", "user", "input"}
    before = {path for path in everything_in(server.folder) if path.relative_to(server.folder).parts[0] not in sure}
    beside = {path.name for path in server.folder.parent.iterdir()}
    draw = random.Random(20261125)
    graphs = [quick(server.workflow(one.name, **QUICK)) for one in WORKFLOWS if one.host == "0.3.64"]
    seen: Counter[str] = Counter()
    puzzling = []
    for _ in range(COUNT):
        deed, graph = mutated(draw.choice(graphs), draw)
        status, body = server.post("/prompt", {"prompt": graph})
        seen[str(status)] += 1
        assert status in (200, 400), (deed, status, body)
        if status == 400:
            assert body.get("error"), deed
            continue
        entry = server.wait(body["prompt_id"], 120)
        error = next((data for kind, data in entry["status"]["messages"] if kind == "execution_error"), None)
        seen["failed" if error else "made"] += 1
        hosts_own = error is not None and error["exception_type"].startswith("graph.")
        if error and error["node_type"].startswith("Zoetrope") and not hosts_own:
            seen["refused by us"] += 1
            if error["exception_type"] not in ("ValueError", "RuntimeError") or len(error["exception_message"]) < 20:
                puzzling.append((deed, error["node_type"], error["exception_type"], error["exception_message"][:200]))
    print(dict(seen))
    assert not puzzling, "\n".join(map(str, puzzling))
    assert server.process.poll() is None
    assert list(outside.iterdir()) == []
    assert not escape.exists()
    assert {path for path in everything_in(server.folder) if path.relative_to(server.folder).parts[0] not in sure} == before
    assert {path.name for path in server.folder.parent.iterdir()} == beside
