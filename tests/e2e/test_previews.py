"""Previews of a clip in the real browser: they move while the sampler runs, end with it, and are off by the setting."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from editor import WORKFLOWS, pictures, run_script
from picture_graphs import HOSTS
from real_server import Server, serve

pytestmark = [pytest.mark.e2e, pytest.mark.host]

STEPS = 100


@pytest.fixture(scope="module", **HOSTS)
def previewing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """With the host's previews on, which are off by default."""
    folder = tmp_path_factory.mktemp("host")
    with serve(request.param, folder, "zoetrope", options=["--preview-method", "auto"]) as running:
        yield running


def long_sampling(path: Path) -> Path:
    """Workflow 01 with more steps."""
    graph = json.loads((WORKFLOWS / "01_text_to_video_demo.json").read_text())
    (sampler,) = [node for node in graph["nodes"] if node["type"] == "KSampler"]
    assert sampler["widgets_values"][2] == 25
    sampler["widgets_values"][2] = STEPS
    path.write_text(json.dumps(graph))
    return path


@pytest.mark.parametrize("renderer", ["litegraph", "vue"])
def test_the_clip_moves_on_the_sampler(previewing: Server, tmp_path: Path, renderer: str) -> None:
    if renderer == "vue" and previewing.version == "0.3.64":
        pytest.skip("the frontend of ComfyUI 0.3.64 has one renderer")
    shots = pictures(tmp_path) / f"previews-{previewing.version}-{renderer}"
    workflow = long_sampling(tmp_path / "workflow.json")
    run_script("previews.mjs", previewing.url, tmp_path / "out.json", shots, renderer, workflow, seconds=600)
    told = json.loads((tmp_path / "out.json").read_text())
    seen = told["seen"]
    assert not [error for error in told["errors"] if "zoetrope" in error.lower()]
    check_moving(seen["plain"], "6")
    check_moving(seen["subgraph"], f"{seen['subgraph']['clips'][0]['node'].split(':')[0]}:6")
    assert seen["off"]["clips"] == []
    assert seen["off"]["after"]["different"] <= 1
    elsewhere = seen["elsewhere"]
    assert elsewhere["steps"] > 0
    assert abs(elsewhere["shown"] - elsewhere["steps"]) <= 1  # the host's alone


def check_moving(run: dict[str, Any], node: str) -> None:
    assert {(clip["node"], clip["frames"], clip["columns"]) for clip in run["clips"]} == {(node, 16, 4)}
    moving = run["moving"]
    assert moving["shown"] >= 2 * moving["steps"] + 8  # a frame of the clip after each of the host's, and between them
    assert moving["different"] > moving["steps"] + 4
    assert moving["most"] == 1  # never two previews
    assert run["after"]["different"] == 1
