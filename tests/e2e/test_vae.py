"""Real video files through the VAE shelf of real servers, and what is wrong with some of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosting
import pytest
from films import film_at
from real_server import Server, error_of, serve
from zoetrope.demo.layout import TEMPORAL_VAE, part_path
from zoetrope.video.io.read import facts_of, sound_of

pytestmark = [pytest.mark.e2e, pytest.mark.host]


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "models" / "vae").mkdir(parents=True)
    (folder / "models" / "vae" / "svd.safetensors").write_bytes(part_path(TEMPORAL_VAE).read_bytes())
    (folder / "input").mkdir(exist_ok=True)
    uneven = [n * 50 for n in range(10)] + [500 + n * 100 for n in range(5)]
    film_at(folder / "input" / "phone.mp4", uneven, (71, 85), 20, sound=True)
    film_at(folder / "input" / "one.mp4", [0], (64, 64))
    (folder / "input" / "letter.mp4").write_text("dear all")
    with serve(request.param, folder) as running:
        yield running


def graph(file: str = "phone.mp4", **chosen: Any) -> dict[str, Any]:
    """Load Video, Load Temporal VAE, Encode Video, Decode Video to File, Save Video."""
    return {
        "1": {"class_type": "LoadVideo", "inputs": {"file": file}},
        "2": {"class_type": "ZoetropeLoadTemporalVae", "inputs": {"vae_name": "svd.safetensors"}},
        "3": {"class_type": "ZoetropeEncodeVideo", "inputs": {"images": ["1", 0], "vae": ["2", 0], "window": 5}},
        "4": {
            "class_type": "ZoetropeDecodeVideoToFile",
            "inputs": {
                "samples": ["3", 0], "vae": ["2", 0], "fps": ["3", 2], "filename_prefix": "back", "audio": ["3", 1], **chosen,
            },
        },
        "5": {
            "class_type": "SaveVideo",
            "inputs": {"video": ["4", 0], "filename_prefix": "kept", "format": "auto", "codec": "auto"},
        },
    }  # fmt: skip


def file_of(server: Server, entry: dict[str, Any], node: str, folder: Path) -> Path:
    shown = entry["outputs"][node]["images"][0]
    path = folder / shown["filename"]
    path.write_bytes(server.get("/view", filename=shown["filename"], subfolder=shown["subfolder"], type=shown["type"]))
    return path


def test_a_phones_video_there_and_back(server: Server, tmp_path: Path) -> None:
    entry = server.run(graph())
    assert entry["status"]["status_str"] == "success", error_of(entry)
    made, kept = (file_of(server, entry, node, tmp_path) for node in ("4", "5"))
    for path in (made, kept):
        facts = facts_of(path)
        assert (facts.width, facts.height, facts.frames) == (64, 80, 15), "71x85 cut about the middle"
        assert abs(float(facts.fps) - 15) < 1.5, "15 frames in about a second"
        heard = sound_of(path)
        assert heard
        assert 0.7 < heard[0].shape[1] / heard[1] < 1.3
    assert "cropped from 71x85 to 64x80 pixels" in server.log.read_text()


def test_core_decodes_the_same_frames(server: Server) -> None:
    nodes = graph("one.mp4")
    nodes["6"] = {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["2", 0]}}
    nodes["7"] = {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}}
    nodes["8"] = {"class_type": "ZoetropeDecodeVideo", "inputs": {"samples": ["3", 0], "vae": ["2", 0], "tile_size": 64}}
    nodes["9"] = {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}
    entry = server.run(nodes)
    assert entry["status"]["status_str"] == "success", error_of(entry)
    pictures = [server.get("/view", **entry["outputs"][node]["images"][0]) for node in ("7", "9")]
    assert pictures[0] == pictures[1], "one frame, one window"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"1": {"class_type": "LoadVideo", "inputs": {"file": "letter.mp4"}}}, ("letter.mp4", "Invalid data")),
        ({"2": {"class_type": "ZoetropeLoadTemporalVae", "inputs": {"vae_name": "no.safetensors"}}}, ("no.safetensors",)),
    ],
)
def test_bad_input_is_explained_and_the_server_goes_on(server: Server, change: dict[str, Any], words: tuple[str, ...]) -> None:
    status, answer = server.post("/prompt", {"prompt": graph() | change})
    told = json.dumps(answer) if status != 200 else error_of(server.wait(answer["prompt_id"]))
    assert any(word in told for word in words), told
    assert server.run(graph("one.mp4"))["status"]["status_str"] == "success"


def test_a_study_is_a_table_and_a_picture(server: Server) -> None:
    nodes = {
        "1": {"class_type": "LoadVideo", "inputs": {"file": "phone.mp4"}},
        "2": {"class_type": "ZoetropeLoadDemoModel", "inputs": {}},
        "3": {
            "class_type": "ZoetropeVaeRoundTrip",
            "inputs": {
                "images": ["1", 0], "vae": ["2", 2], "vae_2": ["2", 4], "frames": 12,
                "changes": "as it is\nevery 2nd frame\nshuffled\ntime for height",
            },
        },
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 1]}},
    }  # fmt: skip
    entry = server.run(nodes)
    assert entry["status"]["status_str"] == "success", error_of(entry)
    assert "| as it is | VAE 1 |" in str(entry["outputs"]["3"])
    assert len(server.get("/view", **entry["outputs"]["4"]["images"][0])) > 10_000
