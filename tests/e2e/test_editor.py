"""The editor around a run: undo, the caret, what stays under a node, and what the search box finds."""

import json
from pathlib import Path
from typing import Any

import pytest
from editor import pictures, run_script, short_shot
from real_server import Server

pytestmark = [pytest.mark.e2e, pytest.mark.host]

FOUND = {
    "animatediff": "Load Motion Module", "evolved": "Apply Motion Module", "evolved sampling": "Apply Motion Module",
    "context options": "Sliding Windows", "looped uniform": "Sliding Windows", "loop": "Sliding Windows",
    "prompt travel": "Prompt Timeline", "prompt schedule": "Prompt Timeline", "vid2vid": "Encode Video", "v2v": "Encode Video",
    "i2v": "First/Last Frame Guide", "pia": "First/Last Frame Guide", "svd": "Load Temporal VAE",
    "stable video": "Load Temporal VAE", "ipadapter": "Image Prompt", "ip adapter": "Image Prompt",
    "freenoise": "Long-Shot Noise", "videocrafter": "Load Video Checkpoint", "hotshot": "Load Motion Module",
    "lightning": "Load Motion Module", "flicker": "Video Metrics", "video combine": "Decode Video to File",
    "multival": "Motion Settings", "fifo": "FIFO Sampler", "long video": "Endless Shot",
    "camera motion": "Apply Motion LoRA", "slow motion": "Interpolate Frames",
}  # fmt: skip
"""What an artist types -> the node that stands first or second in the list."""
CROWDED = {
    "context": "Sliding Windows", "img2vid": "First/Last Frame Guide", "image to video": "First/Last Frame Guide",
    "keyframe": "Prompt Timeline", "upscale": "Upscale Video", "interpolation": "Interpolate Frames",
    "video upscale": "Upscale Video",
}  # fmt: skip
"""Words in the names of nodes of the host, which stand above: the search ranks a name before other words."""
FIRST, SECOND = "a red circle moving right on black", "a blue circle moving right on black"


def test_the_search_box_finds_nodes_by_the_words_of_other_packs(page_server: Server, tmp_path: Path) -> None:
    if page_server.json("/object_info/ZoetropeEndlessShot")["ZoetropeEndlessShot"].get("search_aliases") is None:
        pytest.skip(f"ComfyUI {page_server.version} searches names alone")
    words = [*FOUND, *CROWDED]
    shots = pictures(tmp_path) / f"search-{page_server.version}"
    run_script("search.mjs", page_server.url, tmp_path / "out.json", shots, *words, seconds=400)
    found = json.loads((tmp_path / "out.json").read_text())
    assert {word: found[word][:2] for word, node in FOUND.items() if node not in found[word][:2]} == {}
    assert {word: found[word] for word, node in CROWDED.items() if node not in found[word]} == {}


@pytest.mark.parametrize("renderer", ["litegraph", "vue"])
def test_nothing_stale_stays_on_the_page(page_server: Server, tmp_path: Path, renderer: str) -> None:
    if renderer == "vue" and page_server.version == "0.3.64":
        pytest.skip("the frontend of ComfyUI 0.3.64 has one renderer")
    shots = pictures(tmp_path) / f"after-{page_server.version}-{renderer}"
    shot = short_shot(tmp_path / "shot.json", 24, f"0: {FIRST}\n12: {SECOND} ~4", f"short_{renderer}")
    run_script("after.mjs", page_server.url, tmp_path / "out.json", shots, renderer, shot, seconds=900)
    told = json.loads((tmp_path / "out.json").read_text())
    seen = told["seen"]
    assert not [error for error in told["errors"] if "zoetrope" in error.lower()]
    check_undo(seen)
    check_run(seen)


def check_undo(seen: dict[str, Any]) -> None:
    assert seen["opened"]["cuts"] == ["12"]
    assert seen["opened"]["bars"] == [FIRST, SECOND]
    assert len(set(seen["opened"]["colours"])) == 2
    assert seen["moved"]["cuts"] == ["20"]
    assert seen["undone"] == seen["opened"]
    assert seen["again"]["cuts"] == ["20"]
    assert "\n20: " in seen["again"]["text"]
    assert seen["typed"]["bars"] == [FIRST, "a new prompt", SECOND]


def check_run(seen: dict[str, Any]) -> None:
    done, stopped = seen["done"], seen["stopped"]
    assert done["imgs"] == 0
    assert done["previews"] == []
    assert "$$comfy_animation_preview" not in done["widgets"]
    assert done["pictures"] == []
    assert len(done["videos"]) == 1
    assert done["head"].startswith("Done: 24 frames")
    assert stopped["head"].startswith("Stopped")
    assert "$$node-text-preview" not in (*done["widgets"], *stopped["widgets"])
