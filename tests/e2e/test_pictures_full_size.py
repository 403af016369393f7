"""Pictures in real servers: every published kind at full size."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from picture_graphs import HOSTS, drawing, node, run, sampled, shown
from real_server import Server, error_of, serve

pytestmark = [pytest.mark.e2e, pytest.mark.host]


@pytest.fixture(scope="module", **HOSTS)
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import pooled_files

    folder = tmp_path_factory.mktemp("large")
    models = folder / "models"
    pooled_files.sd15_checkpoint(models / "checkpoints" / "sd15.ckpt")
    pooled_files.sdxl_checkpoint(models / "checkpoints" / "sdxl.ckpt")
    for name in ("ip_adapter_sd15", "ip_adapter_plus_sd15", "ip_adapter_sdxl"):
        pooled_files.published_file(name, models / "ipadapter" / f"{name}.ckpt")
    for name in ("animatediff_v3", "pia", "animatelcm_i2v"):
        pooled_files.published_file(name, models / "animatediff_models" / f"{name}.ckpt")
    for name in ("videocrafter1_i2v_512", "dynamicrafter_256", "dynamicrafter_512", "dynamicrafter_1024", "seine"):
        pooled_files.published_file(name, models / "zoetrope_video" / f"{name}.ckpt")
    for name in ("sparsectrl_rgb_v3", "sparsectrl_scribble_v3", "diffusers_sparsectrl_rgb", "diffusers_sparsectrl_scribble"):
        pooled_files.published_file(name, models / "controlnet" / f"{name}.ckpt")
    pooled_files.clip_vision(models / "clip_vision" / "h.ckpt", "h")
    pooled_files.clip_vision(models / "clip_vision" / "g.ckpt", "g")
    with serve(request.param, folder) as running:
        yield running


def run_large(server: Server, queued: dict[str, Any]) -> torch.Tensor:
    """As `run`, with nothing of the graph before left in memory: the host keeps its results."""
    server.post("/free", {"unload_models": True, "free_memory": True})
    return run(server, queued)


def image_model(name: str, frames: int) -> dict[str, Any]:
    return {
        **drawing(),
        "base": node("CheckpointLoaderSimple", ckpt_name=f"{name}.ckpt"),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=frames),
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "base", "eye"),
    [("ip_adapter_sd15", "sd15", "h"), ("ip_adapter_plus_sd15", "sd15", "h"), ("ip_adapter_sdxl", "sdxl", "g")],
)
def test_an_ip_adapter_of_full_size(large: Server, name: str, base: str, eye: str) -> None:
    def queued(strength: float) -> dict[str, Any]:
        file = node("ZoetropeLoadImageProjector", projector_name=f"{name}.ckpt")
        words = shown(["base", 0], ["file", 0], eye, strength)
        return {**image_model(base, 2), "file": file, **words, **sampled(["words", 0], ["base", 1], "a shape", steps=1)}

    out = run_large(large, queued(1.0))
    assert bool(out.isfinite().all())
    assert not torch.equal(out, run_large(large, queued(0.0)))


@pytest.mark.slow
def test_the_wrong_image_encoder_is_named(large: Server) -> None:
    file = node("ZoetropeLoadImageProjector", projector_name="ip_adapter_plus_sd15.ckpt")
    words = shown(["base", 0], ["file", 0], "g")
    queued = {**image_model("sd15", 1), "file": file, **words, **sampled(["words", 0], ["base", 1], "a", steps=1)}
    said = error_of(large.run(queued))
    assert "hidden_size is 1280, this one's is 1664. Load CLIP Vision with ViT-H" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pia", "animatelcm_i2v"])
@pytest.mark.parametrize("frames", [1, 16])
def test_a_motion_file_with_a_picture_input(large: Server, name: str, frames: int) -> None:
    def queued(strength: float) -> dict[str, Any]:
        moving = {
            "file": node("ZoetropeLoadMotionModule", motion_name=f"{name}.ckpt"),
            "motion": node(
                "ZoetropeApplyMotionModule", model=["base", 0], motion=["file", 0], strength=1.0, schedule="from motion module"
            ),
            "start": node(
                "ZoetropeFirstLastFrameGuide", model=["motion", 0], motion=["file", 0], vae=["base", 2], latent=["latent", 0],
                first=["picture", 0], strength=strength,
            ),
        }  # fmt: skip
        return {**image_model("sd15", frames), **moving, **sampled(["start", 0], ["base", 1], "a shape", steps=1)}

    out = run_large(large, queued(1.0))
    assert bool(out.isfinite().all())
    assert not torch.equal(out, run_large(large, queued(0.0)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "words", "start"),
    [
        ("videocrafter1_i2v_512", True, False),
        ("dynamicrafter_256", True, True),
        ("dynamicrafter_512", True, True),
        ("dynamicrafter_1024", True, True),
        ("seine", False, True),
    ],
)
def test_a_whole_video_checkpoint_with_its_pictures(large: Server, name: str, words: bool, start: bool) -> None:
    def queued(strength: float) -> dict[str, Any]:
        loader = node("ZoetropeLoadVideoCheckpoint", checkpoint_name=f"{name}.ckpt", clip=["base", 1], vae=["base", 2])
        parts, model = {**image_model("sd15", 4), "video": loader}, ["video", 0]
        if words:
            parts |= shown(model, ["video", 4], "h", strength)
            model = ["words", 0]
        if start:
            parts["start"] = node(
                "ZoetropeFirstLastFrameGuide", model=model, motion=["video", 3], vae=["video", 2], latent=["latent", 0],
                first=["picture", 0], last=["picture", 0], strength=strength,
            )  # fmt: skip
            model = ["start", 0]
        return {**parts, **sampled(model, ["video", 1], "a shape", steps=1)}

    out = run_large(large, queued(1.0))
    assert bool(out.isfinite().all())
    assert not torch.equal(out, run_large(large, queued(0.0)))


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["sparsectrl_rgb_v3", "sparsectrl_scribble_v3", "diffusers_sparsectrl_rgb", "diffusers_sparsectrl_scribble"]
)
def test_a_sparsectrl_of_full_size_beside_an_ip_adapter(large: Server, name: str) -> None:
    def queued(strength: float) -> dict[str, Any]:
        parts = {
            **image_model("sd15", 4),
            "file": node("ZoetropeLoadMotionModule", motion_name="animatediff_v3.ckpt"),
            "motion": node(
                "ZoetropeApplyMotionModule", model=["base", 0], motion=["file", 0], strength=1.0, schedule="from motion module"
            ),
            "adapter": node("ZoetropeLoadImageProjector", projector_name="ip_adapter_sd15.ckpt"),
            **shown(["motion", 0], ["adapter", 0], "h"),
            "sparse": node("ZoetropeLoadSparseCtrl", control_net_name=f"{name}.ckpt", frames="0, -1"),
            "two": node("ImageBatch", image1=["picture", 0], image2=["ground", 0]),
            **sampled(["words", 0], ["base", 1], "a shape", steps=1),
        }
        parts["control"] = node(
            "ControlNetApplyAdvanced", positive=["text", 0], negative=["none", 0], control_net=["sparse", 0],
            image=["two", 0], strength=strength, start_percent=0.0, end_percent=1.0, vae=["base", 2],
        )  # fmt: skip
        parts["sampler"]["inputs"] |= {"positive": ["control", 0], "negative": ["control", 1]}
        return parts

    out = run_large(large, queued(1.0))
    assert bool(out.isfinite().all())
    assert not torch.equal(out, run_large(large, queued(0.3)))
