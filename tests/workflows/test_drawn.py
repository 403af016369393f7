"""The shipped workflow files: what they are made of, and that one can follow their wires."""

import json
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from templates import WORKFLOWS
from templates.app import linear_data
from templates.blueprints import BLUEPRINTS, Blueprint
from templates.drawing import Workflow
from templates.wires import bodies, wire_of

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "workflows"
WINDOW, SHARE, READABLE = (1600, 900), 0.75, 0.45
"""A usual window; how much of it the newest editor gives a template; the scale below which its words cannot be read."""
NAMES = [one.name for one in WORKFLOWS]
CORE = {
    "BasicScheduler", "CFGGuider", "CLIPLoader", "CLIPTextEncode", "CLIPVisionLoader", "Canny", "CheckpointLoaderSimple",
    "EmptyHunyuanLatentVideo", "UNETLoader",
    "ControlNetApplyAdvanced", "ControlNetLoader", "CreateVideo", "EmptyImage", "EmptyLatentImage", "FrameInterpolate",
    "FrameInterpolationModelLoader", "GetVideoComponents", "ImageBatch", "ImageCompositeMasked", "ImageScaleBy", "KSampler",
    "KSamplerSelect", "LoadImage", "LoadVideo", "LoraLoader",
    "MarkdownNote", "MaskComposite", "PreviewAny", "PreviewImage", "RandomNoise",
    "SamplerCustom", "SamplerCustomAdvanced", "SaveVideo", "SetLatentNoiseMask", "SolidMask", "VAEDecode", "VAELoader",
}  # fmt: skip
"""Nodes of the host, of the oldest one but for frame interpolation."""
SHOWN = {
    "PreviewImage", "SaveVideo", "ZoetropeDecodeVideoToFile", "ZoetropeEndlessShot", "ZoetropeInterpolateFrames",
    "ZoetropeLiveShot", "ZoetropeRepaintDamage", "ZoetropeRestoreFilm", "ZoetropeRestyleVideo", "ZoetropeShotPlan",
    "ZoetropeUpscaleVideo",
}  # fmt: skip


def graph_of(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_every_file_is_drawn_and_has_its_picture() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.json")) == NAMES
    assert sorted(path.stem for path in FOLDER.glob("*.jpg")) == NAMES
    assert all(path.suffix in (".json", ".jpg") for path in FOLDER.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_only_this_packs_and_cores_nodes_and_a_note_that_says_what_to_change_first(name: str) -> None:
    graph = graph_of(name)
    kinds = {node["type"] for node in graph["nodes"]}
    assert {kind for kind in kinds if not kind.startswith("Zoetrope")} <= CORE
    (note,) = [node["widgets_values"][0] for node in graph["nodes"] if node["type"] == "MarkdownNote"]
    assert note.startswith("## ")
    assert "**First, change**" in note
    host = graph["extra"]["zoetrope"]["host"]
    assert host in ("0.3.64", "0.25.0")
    assert note.endswith(f"Runs on ComfyUI {host} or newer.")
    assert (host == "0.25.0") == bool(kinds & {"FrameInterpolate", "FrameInterpolationModelLoader"})


@pytest.mark.parametrize("name", NAMES)
def test_nodes_stand_apart_in_groups_and_wires_run_to_the_right_or_below_and_behind_no_node(name: str) -> None:
    graph = graph_of(name)
    boxes = bodies(graph)
    for first, second in combinations(boxes.values(), 2):
        assert not touches(first, second)
    for node in graph["nodes"]:
        if node["type"] != "MarkdownNote":
            assert sum(inside(boxes[node["id"]], group["bounding"]) for group in graph["groups"]) == 1, node["type"]
    for link in graph["links"]:
        points = wire_of(graph, link)
        (x, y), (goal_x, goal_y) = points[0], points[-1]
        assert x < goal_x or y < goal_y, f"link {link}: neither to the right nor to a node below"
        for start, end in pairwise(points):
            crossed = [number for number, box in boxes.items() if passes(start, end, box)]
            assert not crossed, f"link {link}: from {start} to {end} behind {crossed}"


@pytest.mark.parametrize("name", NAMES)
def test_a_usual_window_opens_it_at_a_readable_scale(name: str) -> None:
    boxes = bodies(graph_of(name)).values()
    size = (
        max(box[2] for box in boxes) - min(box[0] for box in boxes),
        max(box[3] for box in boxes) - min(box[1] for box in boxes),
    )
    assert SHARE * min(WINDOW[0] / size[0], WINDOW[1] / size[1]) >= READABLE, size


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=NAMES)
def test_app_mode_shows_inputs_that_are_widgets_and_outputs_that_are_pictures_or_films(workflow: Workflow) -> None:
    graph = graph_of(workflow.name)
    nodes = {node["id"]: node for node in graph["nodes"]}
    data = graph["extra"]["linearData"]
    assert data == linear_data(workflow)
    assert data["inputs"]
    for number, widget in data["inputs"]:
        wired = [one for one in nodes[number]["inputs"] if one["name"] == widget and one["link"]]
        assert not wired, (nodes[number]["type"], widget)
    for number in data["outputs"]:
        assert nodes[number]["type"] in SHOWN
    words = {"CLIPTextEncode", "ZoetropePromptTimeline"} & {node["type"] for node in nodes.values()}
    assert not words or any(nodes[number]["type"] in words for number, _ in data["inputs"])


@pytest.mark.parametrize("name", NAMES)
def test_thumbnails_have_one_shape(name: str) -> None:
    with Image.open(FOLDER / f"{name}.jpg") as image:
        assert image.size == (640, 360)


def test_thumbnails_together_are_light() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.jpg")) < 1_500_000


def test_seeds_are_not_chosen() -> None:
    for name in NAMES:
        for node in graph_of(name)["nodes"]:
            values = node.get("widgets_values", [])
            if node["type"] in ("KSampler", "RandomNoise", "ZoetropeLongShotNoise"):
                assert values[0] == 0, f"{name}: {node['type']} {values}"


@pytest.mark.parametrize("blueprint", BLUEPRINTS, ids=lambda one: one.title)
def test_a_blueprint_is_one_node_whose_wires_end_where_they_say(blueprint: Blueprint) -> None:
    graph = json.loads((ROOT / "subgraphs" / f"{blueprint.title}.json").read_text(encoding="utf-8"))
    (outside,), (inside,) = graph["nodes"], graph["definitions"]["subgraphs"]
    assert outside["type"] == inside["id"]
    nodes = {node["id"]: node for node in inside["nodes"]}
    links = {link["id"]: link for link in inside["links"]}
    assert {node["type"] for node in nodes.values() if not node["type"].startswith("Zoetrope")} <= CORE
    for side, ends in (("inputs", "origin_slot"), ("outputs", "target_slot")):
        assert [one["name"] for one in outside[side]] == [one["name"] for one in inside[side]]
        for slot, one in enumerate(inside[side]):
            assert one["linkIds"]
            assert all(links[number][ends] == slot and links[number]["type"] == one["type"] for number in one["linkIds"])
    for link in links.values():
        if link["target_id"] in nodes:
            assert nodes[link["target_id"]]["inputs"][link["target_slot"]]["link"] == link["id"]
        if link["origin_id"] in nodes:
            assert link["id"] in nodes[link["origin_id"]]["outputs"][link["origin_slot"]]["links"]
    open_ends = [(node["type"], one["name"]) for node in nodes.values() for one in node["inputs"] if not one["link"]]
    optional = {"anchor", "audio", "guider", "keyframes", "last", "queue", "settings", "sigmas"}
    assert {name for _, name in open_ends} <= optional, open_ends
    for number, widget in outside["properties"]["proxyWidgets"]:
        assert any(one["name"] == widget for one in nodes[int(number)]["inputs"])


def touches(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def inside(box: tuple[float, ...], group: list[float]) -> bool:
    left, top, width, height = group
    return left <= box[0] and top <= box[1] and box[2] <= left + width and box[3] <= top + height


def passes(start: tuple[float, float], end: tuple[float, float], box: tuple[float, ...], steps: int = 200) -> bool:
    """Whether a straight piece of wire enters a box."""
    between = (
        (start[0] + (end[0] - start[0]) * k / steps, start[1] + (end[1] - start[1]) * k / steps) for k in range(steps + 1)
    )
    return any(box[0] < x < box[2] and box[1] < y < box[3] for x, y in between)
