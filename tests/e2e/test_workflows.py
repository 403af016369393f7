"""Every shipped workflow in the real frontend: both renderers where there are two, light and dark; and what it makes."""

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import hosting
import pytest
import torch
from editor import LOOKS, pictures, run_script
from real_server import Server, error_of, serve
from templates import WORKFLOWS
from templates.queued import api_form
from torch import Tensor
from zoetrope.demo.detector import detect
from zoetrope.video.io.read import frames_of

pytestmark = [pytest.mark.e2e, pytest.mark.host]

FOLDER = Path(__file__).parents[2] / "workflows"
PANELS = {
    "ZoetropePromptTimeline": "timeline", "ZoetropeEndlessShot": "filmstrip", "ZoetropeLiveShot": "filmstrip",
    "ZoetropeShotPlan": "plan",
}  # fmt: skip


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(request.param, tmp_path_factory.mktemp("host")) as running:
        yield running


def openable(server: Server) -> list[Any]:
    """The workflows that this host has the nodes for."""
    parts = [int(part) for part in server.version.split(".")]
    return [one for one in WORKFLOWS if [int(part) for part in one.host.split(".")] <= parts]


@pytest.mark.parametrize(("renderer", "theme"), LOOKS, ids=["-".join(look) for look in LOOKS])
def test_every_workflow_opens_as_it_was_drawn(server: Server, tmp_path: Path, renderer: str, theme: str) -> None:
    if renderer == "vue" and server.version == "0.3.64":
        pytest.skip("the frontend of ComfyUI 0.3.64 has one renderer")
    shipped = [FOLDER / f"{one.name}.json" for one in openable(server)]
    shots = pictures(tmp_path) / f"{server.version}-{renderer}-{theme}"
    run_script("open_workflows.mjs", server.url, tmp_path / "out.json", shots, renderer, theme, *shipped, seconds=400)
    seen = json.loads((tmp_path / "out.json").read_text())
    assert not [error for error in seen["errors"] if "zoetrope" in error.lower()]
    info = server.json("/object_info")
    for one in openable(server):
        found, saved = seen["found"][one.name], json.loads((FOLDER / f"{one.name}.json").read_text())
        assert found["missing"] == []
        queued = api_form(one, info)
        assert found["output"].keys() == queued.keys(), one.name
        for number, node in queued.items():
            assert found["output"][number]["class_type"] == node["class_type"]
            assert found["output"][number]["inputs"].items() >= node["inputs"].items(), one.name
        assert found["reroutes"] == len(saved["extra"]["reroutes"])
        assert found["panels"] == [f"{n['type']}.{PANELS[n['type']]}" for n in saved["nodes"] if n["type"] in PANELS], one.name
        assert values(found["saved"]) == values(saved), one.name
        for first, second in combinations(found["boxes"], 2):
            assert not overlap(found["boxes"][first], found["boxes"][second]), f"{one.name}: nodes {first}, {second}"


def values(graph: dict[str, Any]) -> dict[int, Any]:
    """What a workflow file keeps of its widgets: the panels add nothing. (Core's loaders add a preview of theirs.)"""
    return {node["id"]: node.get("widgets_values", []) for node in graph["nodes"] if node["type"].startswith("Zoetrope")}


def overlap(one: list[float], other: list[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def run(server: Server, name: str, **changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What a workflow showed, by its nodes' types."""
    graph = server.workflow(name, **changes)
    entry = server.run(graph)
    assert error_of(entry) == ""
    return {graph[number]["class_type"]: shown for number, shown in entry["outputs"].items()}


def film(server: Server, shown: dict[str, Any]) -> Tensor:
    (file,) = shown["images"]
    return torch.stack(list(frames_of(server.folder / file["type"] / file["subfolder"] / file["filename"])))


def test_a_picture_says_what_the_clip_looks_like(server: Server) -> None:
    clip = film(server, run(server, "10_picture_as_prompt_demo")["SaveVideo"])
    detection = detect(clip[..., 2::4, 2::4])
    assert (detection.colour, detection.background) == ("red", "black")  # how it moves, the text says: not with every seed


def test_a_video_goes_on_with_its_own_frames_first(server: Server) -> None:
    shown = run(server, "11_continue_a_video_demo", ZoetropeEndlessShot={"frames": 40, "preset": "fast"})
    clip = film(server, shown["ZoetropeEndlessShot"])
    assert clip.shape == (40, 3, 64, 64)
    assert detect(clip[:8]).colour == "red"
    assert detect(clip[-4:]).colour == "green"


def test_a_video_gets_another_look_and_keeps_its_motion(server: Server) -> None:
    clip = film(server, run(server, "12_video_to_video_demo")["SaveVideo"])
    detection = detect(clip[..., 2::4, 2::4])
    assert (detection.colour, detection.motion) == ("yellow", "moving right")


@pytest.mark.parametrize(
    ("name", "look", "motion"),
    [
        ("17_another_look_by_inversion_demo", ("yellow", "black"), "moving right"),
        ("18_look_across_frames_demo", ("green", "grey"), "moving down"),
        ("19_merge_across_frames_demo", ("green", "grey"), "moving down"),
    ],
)
def test_a_restyled_video_keeps_its_motion(server: Server, name: str, look: tuple[str, str], motion: str) -> None:
    clip = film(server, run(server, name)["SaveVideo"])
    detection = detect(clip[..., 2::4, 2::4])
    assert ((detection.colour, detection.background), detection.motion) == (look, motion)
    assert detection.drift < 0.2


def test_the_study_the_plan_and_the_figures_are_shown(server: Server) -> None:
    study = run(server, "13_compare_two_vaes_demo")
    assert "VAE 2" in study["ZoetropeVaeRoundTrip"]["text"][0]
    assert study["PreviewImage"]["images"]
    plan = run(server, "15_plan_a_long_shot_demo")["ZoetropeShotPlan"]
    (figures,) = plan["zoetrope_plan"]
    assert figures["frames"] == 10000
    assert figures["ram"] < figures["ram_total"]
    assert "time" in plan["text"][0]
    colour = run(server, "16_match_colours_demo")
    assert "clip 2" in colour["ZoetropeVideoMetrics"]["text"][0]


def test_long_clips_in_graphs_of_ones_own(server: Server) -> None:
    run(server, "14_long_clips_fifo_windows_demo")
    for name in ("by_a_queue", "by_windows"):
        clip = torch.stack(list(frames_of(server.folder / "output" / "zoetrope" / f"{name}_00001_.mp4")))
        assert clip.shape == (40, 3, 64, 64)
        assert detect(clip[:16]).colour == "cyan"


def test_two_decoders_make_two_files_of_the_same_latents(server: Server) -> None:
    run(server, "04_less_flicker_demo")
    around, alone = (
        torch.stack(list(frames_of(server.folder / "output" / "zoetrope" / f"{name}_00001_.mp4")))
        for name in ("with_the_frames_around", "one_frame_at_a_time")
    )
    assert around.shape == alone.shape == (16, 3, 64, 64)
    assert 0.002 < (around - alone).abs().mean() < 0.05
