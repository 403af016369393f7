"""The pack in real servers of every ComfyUI found: it loads, its workflow opens in the real frontend, and it runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosting
import pytest
from editor import pictures, run_script
from real_server import ODD_NAME, Server, error_of, serve

pytestmark = [pytest.mark.e2e, pytest.mark.host]

HERE = Path(__file__).parent
ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
API_FORM = HERE / "02_animatediff_sd15.api.json"
DEMO_FORM = HERE / "01_text_to_video_demo.api.json"
CHECKPOINT, MOTION = "v1-5-pruned-emaonly.ckpt", "v3_sd15_mm.ckpt"


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import pooled_files

    folder = tmp_path_factory.mktemp("host")
    pooled_files.sd15_checkpoint(folder / "models" / "checkpoints" / CHECKPOINT)
    motion = pooled_files.animatediff_file(folder / "models" / "animatediff_models" / MOTION)
    (motion.parent / "truncated.ckpt").write_bytes(motion.read_bytes()[:-1000])
    with serve(request.param, folder) as running:
        yield running


def test_the_pack_loads_from_a_folder_with_an_odd_name(server: Server) -> None:
    nodes = server.json("/object_info")
    motion = nodes["ZoetropeLoadMotionModule"]
    assert motion["python_module"].startswith("custom_nodes.")
    assert MOTION in str(motion["input"]["required"]["motion_name"])
    assert nodes["ZoetropeApplyMotionModule"]["display_name"] == "Apply Motion Module"
    log = server.log.read_text()
    assert "IMPORT FAILED" not in log
    assert "Error while calling comfy_entrypoint" not in log


def test_help_pages_and_templates_are_served(server: Server) -> None:
    assert b"# Apply Motion Module" in server.get(f"/extensions/{ODD_NAME}/docs/ZoetropeApplyMotionModule.md")
    listed = str(server.json("/workflow_templates"))
    for workflow in WORKFLOWS:
        assert workflow.stem in listed
        served = server.get(f"/api/workflow_templates/{ODD_NAME}/{workflow.stem}.jpg")
        assert served == workflow.with_suffix(".jpg").read_bytes()


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_the_workflow_opens_in_the_real_frontend_without_a_missing_node(server: Server, tmp_path: Path, workflow: Path) -> None:
    api_form = HERE / f"{workflow.stem}.api.json"
    version = server.json("/system_stats")["system"]["comfyui_version"]
    needed = json.loads(workflow.read_text())["extra"].get("zoetrope", {}).get("host", "0")
    if [int(part) for part in version.split(".")] < [int(part) for part in needed.split(".")]:
        pytest.skip(f"{workflow.stem} needs ComfyUI {needed}, this one is {version}")
    screenshot = pictures(tmp_path) / f"{workflow.stem}-{version}.png"
    run_script("open_workflow.mjs", server.url, workflow, tmp_path / "result.json", screenshot, seconds=240)
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["missing"] == []
    assert result["count"] == len(json.loads(workflow.read_text())["nodes"])
    assert screenshot.stat().st_size > 20_000
    stored = json.loads(api_form.read_text())
    remedy = f"{api_form.name} is not what the frontend makes of the workflow; store the output in {tmp_path / 'result.json'}"
    assert set(result["output"]) == set(stored), remedy
    for key, node in stored.items():
        converted = result["output"][key]
        assert converted["class_type"] == node["class_type"], remedy
        assert converted["inputs"].items() >= node["inputs"].items(), remedy  # newer hosts add inputs of their own


def small_graph(frames: int = 16, **motion: Any) -> dict[str, Any]:
    """The shipped workflow in API form: synthetic files, 64 px, two steps."""
    graph = json.loads(API_FORM.read_text())
    by_type = {node["class_type"]: node["inputs"] for node in graph.values()}
    by_type["CheckpointLoaderSimple"]["ckpt_name"] = CHECKPOINT
    by_type["EmptyLatentImage"].update(width=64, height=64, batch_size=frames)
    by_type["KSampler"].update(steps=2)
    by_type["ZoetropeLoadMotionModule"]["motion_name"] = motion.pop("motion_name", MOTION)
    by_type["ZoetropeApplyMotionModule"].update(motion)
    return graph


def frames_of(server: Server, entry: dict[str, Any]) -> tuple[list[Any], float]:
    """The pictures `(h, w, 3)` uint8 and the frame rate of the one video that a run saved."""
    import av

    (saved,) = [file for output in entry["outputs"].values() for file in output.get("images", [])]
    with av.open(str(server.folder / "output" / saved["subfolder"] / saved["filename"])) as video:
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        return frames, float(video.streams.video[0].average_rate or 0)


def test_the_demo_workflow_makes_the_video_that_its_prompt_asks_for(server: Server) -> None:
    import numpy as np
    import torch
    from zoetrope.media.detector import watch

    entry = server.run(json.loads(DEMO_FORM.read_text()))
    assert error_of(entry) == ""
    frames, rate = frames_of(server, entry)
    assert (len(frames), frames[0].shape, rate) == (16, (256, 256, 3), 8.0)
    sight = watch(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[..., 2::4, 2::4] / 255)
    assert (sight.colour, sight.shape, sight.motion) == ("red", "circle", "moving right")


@pytest.mark.slow
def test_the_shipped_workflow_makes_a_video_of_full_size_synthetic_files(server: Server) -> None:
    import numpy as np

    entry = server.run(small_graph())
    assert error_of(entry) == ""
    frames, rate = frames_of(server, entry)
    assert (len(frames), frames[0].shape, rate) == (16, (64, 64, 3), 8.0)
    assert np.std(frames[0]) > 1


@pytest.mark.slow
def test_bad_input_is_explained_and_the_server_goes_on(server: Server) -> None:
    for graph, words in (
        (small_graph(motion_name="truncated.ckpt"), "truncated.ckpt: expected a torch checkpoint, but it cannot be read"),
        (small_graph(frames=33), "32 frames apart, got a clip of 33. Lower the latent's batch size"),
    ):
        assert words in error_of(server.run(graph))
    status, body = server.post("/prompt", {"prompt": small_graph(strength=7.0)})
    assert status == 400
    assert "strength" in json.dumps(body)
    assert error_of(server.run(small_graph(frames=2))) == ""


@pytest.mark.slow
def test_an_interrupt_stops_within_a_call_and_the_next_run_is_the_same_as_ever(server: Server) -> None:
    import time

    graph = small_graph(frames=4)
    graph_long = json.loads(json.dumps(graph))
    sampler = next(node for node in graph_long.values() if node["class_type"] == "KSampler")
    sampler["inputs"]["steps"] = 200
    prompt = server.queue(graph_long)
    time.sleep(8)
    started = time.monotonic()
    server.post("/interrupt", {"prompt_id": prompt})
    assert error_of(server.wait(prompt)) == "interrupted"
    assert time.monotonic() - started < 60
    assert error_of(server.run(graph)) == ""
