"""The pack in real servers of every ComfyUI found: it loads, its workflow opens in the real frontend, and it runs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosting
import pytest
from real_server import ODD_NAME, Server, error_of, serve

pytestmark = [pytest.mark.e2e, pytest.mark.host]

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / "workflows").glob("*.json"))
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


def small_graph(server: Server, frames: int = 16, motion_name: str = MOTION, **motion: Any) -> dict[str, Any]:
    """Workflow 02: synthetic files, 64 px, two steps."""
    return server.workflow(
        "02_text_to_video_sd15_animatediff", CheckpointLoaderSimple={"ckpt_name": CHECKPOINT}, KSampler={"steps": 2},
        EmptyLatentImage={"width": 64, "height": 64, "batch_size": frames},
        ZoetropeLoadMotionModule={"motion_name": motion_name}, ZoetropeApplyMotionModule=motion,
    )  # fmt: skip


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
    from zoetrope.demo.detector import detect

    entry = server.run(server.workflow("01_text_to_video_demo"))
    assert error_of(entry) == ""
    frames, rate = frames_of(server, entry)
    assert (len(frames), frames[0].shape, rate) == (16, (256, 256, 3), 8.0)
    detection = detect(torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2)[..., 2::4, 2::4] / 255)
    assert (detection.colour, detection.shape, detection.motion) == ("red", "circle", "moving right")


@pytest.mark.slow
def test_the_shipped_workflow_makes_a_video_of_full_size_synthetic_files(server: Server) -> None:
    import numpy as np

    entry = server.run(small_graph(server))
    assert error_of(entry) == ""
    frames, rate = frames_of(server, entry)
    assert (len(frames), frames[0].shape, rate) == (16, (64, 64, 3), 8.0)
    assert np.std(frames[0]) > 1


@pytest.mark.slow
def test_bad_input_is_explained_and_the_server_goes_on(server: Server) -> None:
    for graph, words in (
        (
            small_graph(server, motion_name="truncated.ckpt"),
            "truncated.ckpt: expected a torch checkpoint, but it cannot",
        ),
        (small_graph(server, frames=33), "32 frames, got a clip of 33. Lower the latent's batch size"),
    ):
        assert words in error_of(server.run(graph))
    status, body = server.post("/prompt", {"prompt": small_graph(server, strength=7.0)})
    assert status == 400
    assert "strength" in json.dumps(body)
    assert error_of(server.run(small_graph(server, frames=2))) == ""


@pytest.mark.slow
def test_an_interrupt_stops_within_a_call_and_the_next_run_is_the_same_as_ever(server: Server) -> None:
    import time

    graph = small_graph(server, frames=4)
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
