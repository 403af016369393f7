"""The cascade in real servers: key frames, frames in between, larger frames, from a prompt to a file; and what is refused."""

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import hosting
import pytest
import torch
from real_server import Server, error_of, serve
from torch import Tensor
from zoetrope.demo.detector import detect
from zoetrope.video.io.read import frames_of

pytestmark = [pytest.mark.e2e, pytest.mark.host]


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(request.param, tmp_path_factory.mktemp("host")) as running:
        yield running


def clip(server: Server, name: str, number: int = 1) -> Tensor:
    return torch.stack(list(frames_of(server.folder / "output" / "zoetrope" / f"{name}_{number:05}_.mp4")))


def test_from_a_prompt_to_a_large_file_with_four_times_the_frames(server: Server) -> None:
    small = {
        "ZoetropeEndlessShot": {"frames": 6},
        "ZoetropeInterpolateFrames": {"steps": 8},
        "ZoetropeUpscaleVideo": {"steps": 4},
    }
    entry = server.run(server.workflow("08_shot_in_betweens_upscale_demo", **small))
    assert error_of(entry) == ""
    between, large = clip(server, "cascade_2_between"), clip(server, "cascade_3_large")
    assert between.shape == (21, 3, 64, 64)
    assert large.shape == (21, 3, 256, 256)
    detection = detect(between)
    assert detection.colour == "red"
    assert detection.velocity[0] > 0.01  # to the right
    assert sum(colour == "red" for colour in detection.colours) >= 19
    again = torch.nn.functional.avg_pool2d(large, 4)
    assert (again - between).abs().mean() < 0.03
    mended = server.run(server.workflow("08_shot_in_betweens_upscale_demo", **{**small, "ZoetropeUpscaleVideo": {"steps": 3}}))
    assert error_of(mended) == ""  # what was finished is used, what changed is made anew
    files = {path.name for path in (server.folder / "output" / "zoetrope").glob("*.mp4")}
    assert {"cascade_2_between_00001_.mp4", "cascade_3_large_00001_.mp4", "cascade_3_large_00002_.mp4"} <= files
    assert "cascade_2_between_00002_.mp4" not in files


def test_a_restarted_server_goes_on_with_the_stage_that_is_missing(server: Server) -> None:
    """Core forgets what it has run; the files on the disk do not."""
    stage = server.workflow(
        "06_frames_in_between_demo", EmptyLatentImage={"batch_size": 3}, ZoetropeInterpolateFrames={"steps": 2}
    )
    assert error_of(server.run(stage)) == ""
    path = server.folder / "output" / "zoetrope" / "between_00001_.mp4"
    first = path.stat().st_mtime_ns
    server.post("/free", {"unload_models": True, "free_memory": True})
    stage["99"] = {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}
    stage["100"] = {"class_type": "PreviewImage", "inputs": {"images": ["99", 0]}}
    assert error_of(server.run(stage)) == ""
    assert path.stat().st_mtime_ns == first
    assert not path.with_name("between_00002_.mp4").exists()


def test_the_upscaling_workflow_compares_both_ways(server: Server) -> None:
    quick = {"ZoetropeUpscaleVideo": {"steps": 3}, "EmptyLatentImage": {"batch_size": 10}, "KSampler": {"steps": 4}}
    entry = server.run(server.workflow("07_upscale_video_demo", **quick))
    assert error_of(entry) == ""
    assert clip(server, "large").shape == clip(server, "large_frame_by_frame").shape == (10, 3, 256, 256)
    (text,) = [out["text"][0] for out in entry["outputs"].values() if "text" in out]
    rows = [line.split("|") for line in text.splitlines()]
    assert [row[2].strip() for row in rows[2:]] == ["10", "10"]
    assert "second difference" in text


BAD = (
    ({"EmptyLatentImage": {"batch_size": 1}}, "06_frames_in_between_demo", "two key frames or more to fill in between, got 1"),
    ({"ZoetropeInterpolateFrames": {"factor": 16}}, "06_frames_in_between_demo", "factor: expected at most 15"),
    ({"ZoetropeInterpolateFrames": {"fps": 0.0}}, "06_frames_in_between_demo", "fps: expected more than 0, got 0"),
    ({"ZoetropeUpscaleVideo": {"noise_level": 900}}, "07_upscale_video_demo", "noise_level: expected 0 to 350"),
    ({"ZoetropeUpscaleVideo": {"match_colour": "sepia"}}, "07_upscale_video_demo", "match_colour"),
    (
        {"ZoetropeUpscaleVideo": {"window": 4, "overlap": 3}},
        "07_upscale_video_demo",
        "overlap: expected 0 to half of the window",
    ),
)


@pytest.mark.parametrize(("changes", "stem", "words"), BAD, ids=[words[:24] for *_, words in BAD])
def test_what_cannot_be_is_said(server: Server, changes: dict[str, Any], stem: str, words: str) -> None:
    quick = {"KSampler": {"steps": 1}, "EmptyLatentImage": {"batch_size": 3}, **changes}
    before = set((server.folder / "output").rglob("*"))
    status, body = server.post("/prompt", {"prompt": server.workflow(stem, **quick)})
    said = str(body) if status != 200 else error_of(server.wait(body["prompt_id"]))
    assert words in said
    assert not [path for path in set((server.folder / "output").rglob("*")) - before if "unfinished" in path.name]


def test_an_upscaler_in_the_wrong_place_and_a_model_in_the_upscalers(server: Server) -> None:
    swapped = server.workflow("07_upscale_video_demo", KSampler={"steps": 1}, EmptyLatentImage={"batch_size": 2})
    by_type = {node["class_type"]: key for key, node in swapped.items()}
    for node in swapped.values():
        if node["class_type"] == "ZoetropeUpscaleVideo":
            node["inputs"]["model"] = [by_type["ZoetropeLoadDemoModel"], 0]
    assert "needs a Stable Diffusion x4 upscaler" in error_of(server.run(swapped))


def test_interrupting_leaves_no_half_file_and_the_next_run_is_whole(server: Server) -> None:
    long = {"EmptyLatentImage": {"batch_size": 12}, "ZoetropeInterpolateFrames": {"steps": 40, "seed": 3}}
    stage = server.workflow("06_frames_in_between_demo", **long)
    queued = server.queue(stage)
    folder = server.folder / "output" / "zoetrope"
    end = time.monotonic() + 120
    while time.monotonic() < end and not list(folder.glob(".*unfinished*")):
        time.sleep(0.2)
    server.post("/interrupt", {})
    assert error_of(server.wait(queued)) == "interrupted"
    assert not list(folder.glob(".*unfinished*"))
    numbers = sorted(int(path.stem.split("_")[-2]) for path in folder.glob("between_*_.mp4"))
    stage = server.workflow(
        "06_frames_in_between_demo", EmptyLatentImage={"batch_size": 3}, ZoetropeInterpolateFrames={"steps": 2, "seed": 9}
    )
    assert error_of(server.run(stage)) == ""
    after = sorted(int(path.stem.split("_")[-2]) for path in folder.glob("between_*_.mp4"))
    assert len(after) == len(numbers) + 1
    assert all(b - a >= 1 for a, b in pairwise(after))


# -- every published kind at full size ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def full_size(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import pooled_files

    folder = tmp_path_factory.mktemp("full_size")
    models = folder / "models"
    pooled_files.sd2_checkpoint(models / "checkpoints" / "sd2.ckpt")
    pooled_files.sd15_checkpoint(models / "checkpoints" / "sd15.ckpt")
    for name in ("upscale_a_video_unet", "lavie_vsr", "sd_x4_upscaler_unet", "sd_x4_upscaler_unet_ldm", "lavie_interpolation"):
        pooled_files.published_file(name, models / "zoetrope_video" / f"{name}.ckpt")
    for name in ("sd_x4_upscaler_vae", "upscale_a_video_vae_video"):
        pooled_files.published_file(name, models / "vae" / f"{name}.ckpt")
    with serve(request.param, folder) as running:
        yield running


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "vae", "temporal"),
    [
        ("upscale_a_video_unet", "upscale_a_video_vae_video", True),
        ("lavie_vsr", "sd_x4_upscaler_vae", True),
        ("sd_x4_upscaler_unet", "sd_x4_upscaler_vae", False),
        ("sd_x4_upscaler_unet_ldm", "sd_x4_upscaler_vae", False),
    ],
)
def test_an_upscaler_of_full_size(full_size: Server, name: str, vae: str, temporal: bool) -> None:
    def large(strength: float, prefix: str) -> Tensor:
        full_size.post("/free", {"unload_models": True, "free_memory": True})
        settings = {"seed": 1, "steps": 1, "cfg": 2.0, "noise_level": 20, "fps": 8.0, "filename_prefix": f"zoetrope/{prefix}"}
        queued = {
            "text": node("CheckpointLoaderSimple", ckpt_name="sd2.ckpt"),
            "words": node("CLIPTextEncode", text="a shape", clip=["text", 1]),
            "none": node("CLIPTextEncode", text="", clip=["text", 1]),
            "frames": node("EmptyImage", width=16, height=16, batch_size=3, color=15411497),
            "up": node("ZoetropeLoadVideoUpscaler", upscaler_name=f"{name}.ckpt", strength=strength),
            "vae": node("ZoetropeLoadTemporalVae", vae_name=f"{vae}.ckpt"),
            "large": node(
                "ZoetropeUpscaleVideo", model=["up", 0], positive=["words", 0], negative=["none", 0], vae=["vae", 0],
                images=["frames", 0], **settings,
            ),
        }  # fmt: skip
        assert error_of(full_size.run(queued)) == ""
        return clip(full_size, prefix)

    with_layers = large(1.0, f"{name}_with")
    assert with_layers.shape == (3, 3, 64, 64)
    assert torch.equal(with_layers, large(0.0, f"{name}_without")) != temporal


@pytest.mark.slow
def test_lavies_interpolation_of_full_size(full_size: Server) -> None:
    full_size.post("/free", {"unload_models": True, "free_memory": True})
    settings = {"factor": 4, "seed": 1, "steps": 1, "cfg": 1.0, "fps": 8.0, "filename_prefix": "zoetrope/lavie", "window": 9}
    queued = {
        "base": node("CheckpointLoaderSimple", ckpt_name="sd15.ckpt"),
        "words": node("CLIPTextEncode", text="a shape", clip=["base", 1]),
        "video": node("ZoetropeLoadVideoCheckpoint", checkpoint_name="lavie_interpolation.ckpt"),
        "frames": node("EmptyImage", width=64, height=64, batch_size=3, color=15411497),
        "between": node(
            "ZoetropeInterpolateFrames", model=["video", 0], positive=["words", 0], negative=["words", 0], vae=["base", 2],
            motion=["video", 3], images=["frames", 0], **settings,
        ),
    }  # fmt: skip
    assert error_of(full_size.run(queued)) == ""
    assert clip(full_size, "lavie").shape == (9, 3, 64, 64)


def test_files_in_the_wrong_loader_are_told_apart(server: Server) -> None:
    from safetensors.torch import save_file

    folder = server.folder / "models" / "zoetrope_video"
    folder.mkdir(parents=True, exist_ok=True)
    save_file({"lora_unet_x.lora_down.weight": torch.ones(2, 2)}, folder / "lora.safetensors")
    demo = Path(__file__).parents[2] / "demo" / "weights"
    (folder / "motion.safetensors").write_bytes((demo / "motion.safetensors").read_bytes())
    server.get("/object_info")
    for name, words in (("lora", "this is a LoRA: load it with core's Load LoRA"), ("motion", "temporal layers only")):
        queued = {
            "up": node("ZoetropeLoadVideoUpscaler", upscaler_name=f"{name}.safetensors"),
            "empty": node("EmptyImage", width=8, height=8, batch_size=1, color=0),
            "vae": node("ZoetropeLoadDemoUpscaler"),
            "large": node(
                "ZoetropeUpscaleVideo", model=["up", 0], positive=["words", 0], negative=["words", 0], vae=["vae", 2],
                images=["empty", 0], seed=1, steps=1, cfg=1.0, noise_level=20, fps=8.0, filename_prefix="zoetrope/no",
            ),
            "words": node("CLIPTextEncode", text="", clip=["vae", 1]),
        }  # fmt: skip
        assert words in error_of(server.run(queued))
