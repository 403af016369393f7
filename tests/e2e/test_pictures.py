"""Pictures in real servers: the demo model's workflow and its strengths; every published kind of picture file at full size."""

from collections.abc import Iterator
from typing import Any

import hosting
import pytest
import torch
from real_server import Server, error_of, serve
from safetensors.torch import load_file, save_file
from zoetrope.demo.detector import watch
from zoetrope.video.io.read import frames_of

pytestmark = [pytest.mark.e2e, pytest.mark.host]

HOSTS: dict[str, Any] = {"params": hosting.found_hosts(), "ids": lambda host: hosting.version(host)}


@pytest.fixture(scope="module", **HOSTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("host")
    (folder / "models" / "loras").mkdir(parents=True)
    place = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn2_to_q"
    factors = {f"{place}.lora_down.weight": torch.ones(2, 64) * 0.1, f"{place}.lora_up.weight": torch.ones(64, 2) * 0.1}
    save_file(factors, folder / "models" / "loras" / "l.safetensors")
    with serve(request.param, folder) as running:
        yield running


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def sampled(model: list[Any], clip: list[Any], text: str, **more: Any) -> dict[str, Any]:
    """From a model to a saved latent; `more` are settings of the sampler."""
    settings = {"steps": 2, "cfg": 3.0, "seed": 1, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0, **more}
    return {
        "text": node("CLIPTextEncode", text=text, clip=clip),
        "none": node("CLIPTextEncode", text="", clip=clip),
        "sampler": node(
            "KSampler", model=model, positive=["text", 0], negative=["none", 0], latent_image=["latent", 0], **settings
        ),
        "save": node("SaveLatent", samples=["sampler", 0], filename_prefix="latent"),
    }


def drawing(size: int = 64) -> dict[str, Any]:
    """A red square on black, by core nodes."""
    return {
        "ground": node("EmptyImage", width=size, height=size, batch_size=1, color=657930),
        "shape": node("EmptyImage", width=size // 3, height=size // 3, batch_size=1, color=15411497),
        "picture": node("ImageCompositeMasked", destination=["ground", 0], source=["shape", 0], x=8, y=22, resize_source=False),
    }


def demo_graph(frames: int = 16, words: float = 1.0, start: float = 1.0, lora: bool = False, **more: Any) -> dict[str, Any]:
    demo = {
        "demo": node("ZoetropeLoadDemoModel"),
        "lora": node("LoraLoaderModelOnly", model=["demo", 0], lora_name="l.safetensors", strength_model=0.5),
        "motion": node(
            "ZoetropeApplyMotionModule", model=["lora" if lora else "demo", 0], motion=["demo", 3], strength=1.0,
            schedule="from motion module",
        ),
        "latent": node("EmptyLatentImage", width=64, height=64, batch_size=frames),
        "words": node(
            "ZoetropeImagePrompt", model=["motion", 0], projector=["demo", 5], clip_vision=["demo", 6], image=["picture", 0],
            strength=words,
        ),
        "start": node(
            "ZoetropeFirstLastFrameGuide", model=["words", 0], motion=["demo", 3], vae=["demo", 2], latent=["latent", 0],
            first=["picture", 0], strength=start,
        ),
    }  # fmt: skip
    return {**demo, **drawing(), **sampled(["start", 0], ["demo", 1], "moving right at 8 fps", **more)}


def run(server: Server, queued: dict[str, Any]) -> torch.Tensor:
    entry = server.run(queued)
    assert error_of(entry) == ""
    newest = max((server.folder / "output").glob("latent_*.latent"), key=lambda path: path.stat().st_mtime_ns)
    latents = load_file(newest)["latent_tensor"]
    newest.unlink()
    return latents


@pytest.mark.parametrize("frames", [1, 16, 64])
def test_a_picture_in_clips_of_any_length_with_a_lora(server: Server, frames: int) -> None:
    out = run(server, demo_graph(frames, lora=True))
    assert out.shape == (frames, 4, 8, 8)
    assert bool(out.isfinite().all())
    if frames > 1:  # of one frame, given, nothing is left to be made
        assert not torch.equal(out, run(server, demo_graph(frames, words=0.5, lora=True)))
    other = run(server, demo_graph(frames, lora=True, seed=2))
    assert torch.allclose(other[0], out[0], atol=1e-4)  # whatever the noise, frame 0 is the picture
    assert frames == 1 or not torch.allclose(other[1:], out[1:], atol=1e-2)


def test_strength_0_is_the_graph_without_the_node_bit_for_bit(server: Server) -> None:
    plain = demo_graph(words=0.0, start=0.0)
    without = {name: part for name, part in plain.items() if name not in ("words", "start")}
    without["sampler"]["inputs"] = {**without["sampler"]["inputs"], "model": ["motion", 0]}
    bare = run(server, without)
    off = run(server, demo_graph(words=0.0, start=0.0, seed=1))
    assert torch.equal(off, bare)
    assert not torch.equal(run(server, demo_graph(words=1.0, start=0.0)), bare)


def test_a_picture_holds_in_an_endless_shot_and_hands_over(server: Server) -> None:
    """The drawn square is frame 0 of the video; the shot goes on without it, and is written as always."""
    queued = demo_graph()
    for name in ("sampler", "save"):
        queued.pop(name)
    queued["shot"] = node(
        "ZoetropeEndlessShot", model=["start", 0], positive=["text", 0], negative=["none", 0], vae=["demo", 2],
        latent=["latent", 0], seed=1, frames=20, fps=8.0, cfg=3.0, preset="fast", filename_prefix="shot",
        sigmas=["levels", 0],
    )  # fmt: skip
    queued["levels"] = node("BasicScheduler", model=["start", 0], scheduler="normal", steps=16, denoise=1.0)
    queued["last"] = node("SaveLatent", samples=["shot", 1], filename_prefix="latent")
    entry = server.run(queued)
    assert error_of(entry) == ""
    (video,) = entry["outputs"]["shot"]["images"]
    data = server.get("/view", filename=video["filename"], subfolder=video["subfolder"], type=video["type"])

    path = server.folder / "output" / "shot.mp4"
    path.write_bytes(data)
    frame = next(frames_of(path))  # (3, h, w)
    inside, outside = frame[:, 26:38, 12:24].mean((1, 2)), frame[:, :16].mean((1, 2))
    assert float(inside[0] - inside[1]) > 0.4
    assert float(outside.max()) < 0.2


def test_the_shipped_workflow_lets_the_drawn_square_move_right(server: Server) -> None:
    """Workflow 05 as the frontend converts it, judged by the detector."""
    entry = server.run(server.workflow("05_image_to_video_demo"))
    assert error_of(entry) == ""
    (video,) = [
        shown for output in entry["outputs"].values() for shown in output.get("images", []) if shown["type"] == "output"
    ]
    path = server.folder / "output" / "moved.mp4"
    path.write_bytes(server.get("/view", filename=video["filename"], subfolder=video["subfolder"], type=video["type"]))
    frames = torch.stack(list(frames_of(path)))
    assert frames.shape == (16, 3, 256, 256)
    sight = watch(frames)
    assert (sight.colour, sight.motion, sight.background) == ("red", "moving right", "black")


def test_what_is_missing_is_said(server: Server) -> None:
    queued = demo_graph()
    del queued["start"]["inputs"]["first"]
    assert "needs a picture; connect first, last or both" in error_of(server.run(queued))
    queued = demo_graph(frames=1)
    queued["picture"] = node("EmptyImage", width=64, height=64, batch_size=3, color=0)
    assert "has 3 pictures for 1 frames; give it fewer" in error_of(server.run(queued))


# -- every published kind at full size ---------------------------------------------------------------------------------------


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


def shown(model: list[Any], projector: list[Any], eye: str, strength: float = 1.0) -> dict[str, Any]:
    return {
        "eye": node("CLIPVisionLoader", clip_name=f"{eye}.ckpt"),
        "words": node(
            "ZoetropeImagePrompt",
            model=model,
            projector=projector,
            clip_vision=["eye", 0],
            image=["picture", 0],
            strength=strength,
        ),
    }


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
