"""The shipped workflow files: what they are made of, and that one can follow their wires."""

import json
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import pytest
from templates import WORKFLOWS
from templates.wires import bodies, wire_of

FOLDER = Path(__file__).parents[2] / "workflows"
NAMES = [one.name for one in WORKFLOWS]
CORE = {
    "BasicScheduler", "CFGGuider", "CLIPLoader", "CLIPTextEncode", "CLIPVisionLoader", "Canny", "CheckpointLoaderSimple",
    "ControlNetApplyAdvanced", "ControlNetLoader", "CreateVideo", "EmptyImage", "EmptyLatentImage", "FrameInterpolate",
    "FrameInterpolationModelLoader", "GetVideoComponents", "ImageCompositeMasked", "ImageScaleBy", "KSampler", "KSamplerSelect",
    "LoadImage", "LoadVideo", "MarkdownNote", "PreviewAny", "PreviewImage", "RandomNoise", "SamplerCustomAdvanced", "SaveVideo",
    "VAEDecode", "VAELoader",
}  # fmt: skip
"""Nodes of the host, of the oldest one but for frame interpolation."""


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
def test_nodes_stand_apart_in_groups_and_wires_run_from_left_to_right_behind_no_node(name: str) -> None:
    graph = graph_of(name)
    boxes = bodies(graph)
    for first, second in combinations(boxes.values(), 2):
        assert not touches(first, second)
    for node in graph["nodes"]:
        if node["type"] != "MarkdownNote":
            assert sum(inside(boxes[node["id"]], group["bounding"]) for group in graph["groups"]) == 1, node["type"]
    for link in graph["links"]:
        points = wire_of(graph, link)
        assert points[0][0] < points[-1][0]
        for start, end in pairwise(points):
            crossed = [number for number, box in boxes.items() if passes(start, end, box)]
            assert not crossed, f"link {link}: from {start} to {end} behind {crossed}"


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
