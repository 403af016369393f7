"""What a node shows while a clip is sampled: the clip's frames in turn, and the host's preview when it has finished."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def shown(*events: tuple[Any, ...]) -> tuple[list[dict[str, str]], int]:
    """Previews by node after each event, and the number of objects that are kept after the last one."""
    node = shutil.which("node")
    if not node:
        pytest.skip("needs node")
    command = [node, str(ROOT / "tests" / "web" / "moving_previews.mjs"), str(ROOT / "web" / "zoetrope" / "moving_previews.js")]
    done = subprocess.run(command, input=json.dumps(events), capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout)
    return answer["seen"], answer["held"]


def of(node: str, seen: list[dict[str, str]]) -> list[str | None]:
    return [state.get(node) for state in seen]


def test_frames_follow_the_clock_and_hide_the_hosts_preview_until_the_node_ends() -> None:
    seen, held = shown(
        ("still", "5:12", "still 1"), ("clip", "5:12", "clip A", 3), ("tick", 125), ("still", "5:12", "still 2"),
        ("tick", 250), ("clip", "5:12", "clip B", 3), ("tick", 375), ("end", "5:12"), ("tick", 500),
    )  # fmt: skip
    assert of("5:12", seen) == [
        "still 1", "still 1", "clip A 1", "clip A 1", "clip A 2", "clip A 2", "clip B 0", "still 2", "still 2",
    ]  # fmt: skip
    assert held == 0


def test_nodes_are_independent() -> None:
    seen, _ = shown(
        ("still", "1", "a"),
        ("still", "2", "b"),
        ("clip", "1", "A", 2),
        ("tick", 0),
        ("end", "1"),
        ("clip", "2", "B", 2),
        ("tick", 125),
    )
    assert (of("1", seen)[-4:], of("2", seen)[-1]) == (["A 0", "a", "a", "a"], "B 1")


def test_a_frame_that_is_drawn_after_the_end_is_dropped() -> None:
    seen, _ = shown(("still", "1", "a"), ("clip", "1", "A", 2), ("tick", 0), ("tick and end", 125, "1"), ("tick", 250))
    assert of("1", seen) == ["a", "a", "A 0", "a", "a"]


def test_nothing_is_drawn_in_another_workflow() -> None:
    seen, held = shown(
        ("still", "1", "a"), ("clip", "1", "A", 2), ("tick", 0),
        ("open", "other"), ("still", "1", "host's in the other"), ("tick", 125),
        ("open", "w"), ("tick", 250), ("open", "other"), ("still", "1", "last"), ("end all",),
    )  # fmt: skip
    assert of("1", seen)[3:] == ["A 0", *["host's in the other"] * 3, "A 0", "A 0", "last", "last"]
    assert held == 0


def test_another_packs_moving_preview_has_the_node_to_itself() -> None:
    seen, _ = shown(
        ("still", "1", "a"), ("clip", "1", "A", 2), ("tick", 0), ("yield", "1"), ("clip", "1", "B", 2), ("tick", 125)
    )
    assert of("1", seen)[2:] == ["A 0", "a", "a", "a"]


def test_without_a_preview_of_the_host_there_is_none() -> None:
    seen, _ = shown(("clip", "1", "A", 2), ("tick", 0), ("end", "1"))
    assert seen == [{}, {}, {}]
