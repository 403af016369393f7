"""Every usable family at full size in real servers: on checkpoints of SD1.5, SD2.x and SDXL, and as whole video checkpoints."""

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosting
import pytest
import torch
from mangled import MANGLES, sound
from real_server import Server, error_of, serve
from safetensors.torch import load_file

pytestmark = [pytest.mark.e2e, pytest.mark.host, pytest.mark.slow]

CHECKPOINTS = {"SD1.5": "sd15.ckpt", "SD2": "sd2.ckpt", "SDXL": "sdxl.ckpt"}

MODULES = {
    "animatediff_v1": "SD1.5",
    "animatediff_v2": "SD1.5",
    "animatediff_v3": "SD1.5",
    "animatelcm": "SD1.5",
    "animatelcm_i2v": "SD1.5",
    "pia": "SD1.5",
    "diffusers_motion_adapter_v1": "SD1.5",
    "diffusers_motion_adapter_v1_5_2": "SD1.5",
    "diffusers_motion_adapter_v3": "SD1.5",
    "diffusers_motion_adapter_pia": "SD1.5",
    "lavie_base": "SD1.5",
    "lavie_interpolation": "SD1.5",
    "seine": "SD1.5",
    "lvdm_text2video": "SD1.5",
    "videocrafter1_t2v_512": "SD2",
    "videocrafter1_t2v_1024": "SD2",
    "videocrafter2_t2v_512": "SD2",
    "videocrafter1_i2v_512": "SD2",
    "dynamicrafter_256": "SD2",
    "dynamicrafter_512": "SD2",
    "dynamicrafter_1024": "SD2",
    "svd_xt": "SD2",
    "modelscope_t2v_original": "SD2",
    "modelscope_t2v_diffusers": "SD2",
    "svd_xt_unet_diffusers": "SD2",
    "animatediff_sdxl_beta": "SDXL",
    "diffusers_motion_adapter_sdxl_beta": "SDXL",
    "hotshotxl": "SDXL",
}
"""List of keys -> base model it goes into."""

WHOLE = {
    "videocrafter1_t2v_512": None,
    "videocrafter1_t2v_1024": None,
    "videocrafter1_i2v_512": None,
    "videocrafter2_t2v_512": None,
    "dynamicrafter_256": None,
    "dynamicrafter_512": None,
    "dynamicrafter_512_interp": None,
    "dynamicrafter_1024": None,
    "modelscope_t2v_original": "SD2",
    "modelscope_t2v_diffusers": "SD2",
    "lavie_base": "SD1.5",
    "seine": "SD1.5",
    "lvdm_text2video": "SD1.5",
}
"""List of keys -> base model whose CLIP it borrows; None: the file has one."""


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import pooled_files

    folder = tmp_path_factory.mktemp("host")
    models = folder / "models"
    pooled_files.sd15_checkpoint(models / "checkpoints" / CHECKPOINTS["SD1.5"])
    pooled_files.sd2_checkpoint(models / "checkpoints" / CHECKPOINTS["SD2"])
    pooled_files.sdxl_checkpoint(models / "checkpoints" / CHECKPOINTS["SDXL"])
    for name in MODULES:
        pooled_files.published_file(name, models / "animatediff_models" / f"{name}.ckpt")
    for name in WHOLE:
        pooled_files.published_file(name, models / "zoetrope_video" / f"{name}.ckpt")
    pooled_files.published_file("motion_lora_v2", models / "animatediff_motion_lora" / "pan.ckpt")
    pooled_files.published_file("animatediff_v3_domain_adapter", models / "animatediff_motion_lora" / "adapter.ckpt")
    for index, mangle in enumerate(MANGLES):
        mangle(models / "animatediff_models" / f"mangled{index}", sound(), random.Random(index))
    pooled_files.published_file("svd_xt", models / "zoetrope_video" / "svd_xt.ckpt")
    with serve(request.param, folder) as running:
        yield running


def graph(model: list[Any], clip: list[Any], nodes: dict[str, Any], frames: int = 4) -> dict[str, Any]:
    """Two steps at 64 px to a saved latent."""
    return {
        **nodes,
        "text": {"class_type": "CLIPTextEncode", "inputs": {"text": "a shape", "clip": clip}},
        "latent": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": frames}},
        "sampler": {
            "class_type": "KSampler",
            "inputs": {
                "model": model, "positive": ["text", 0], "negative": ["text", 0], "latent_image": ["latent", 0], "seed": 1,
                "steps": 2, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            },
        },
        "save": {"class_type": "SaveLatent", "inputs": {"samples": ["sampler", 0], "filename_prefix": "latent"}},
    }  # fmt: skip


def checkpoint(base: str) -> dict[str, Any]:
    return {"base": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": CHECKPOINTS[base]}}}


def with_module(name: str, base: str, **settings: Any) -> dict[str, Any]:
    settings = {"strength": 1.0, "schedule": "from motion module", **settings}
    return graph(
        ["motion", 0],
        ["base", 1],
        {
            **checkpoint(base),
            "file": {"class_type": "ZoetropeLoadMotionModule", "inputs": {"motion_name": f"{name}.ckpt"}},
            "motion": {
                "class_type": "ZoetropeApplyMotionModule",
                "inputs": {"model": ["base", 0], "motion": ["file", 0], **settings},
            },
            "report": {"class_type": "ZoetropeMotionReport", "inputs": {"motion": ["file", 0]}},
        },
    )


def run(server: Server, queued: dict[str, Any]) -> torch.Tensor:
    """The latents that a graph makes."""
    entry = server.run(queued)
    assert error_of(entry) == ""
    folder = server.folder / "output"
    newest = max(folder.glob("latent_*.latent"), key=lambda path: path.stat().st_mtime_ns)
    latents = load_file(newest)["latent_tensor"]
    newest.unlink()
    return latents


@pytest.mark.parametrize(("name", "base"), MODULES.items())
def test_a_motion_file_of_each_family_samples_finite_frames(server: Server, name: str, base: str) -> None:
    moved = run(server, with_module(name, base))
    assert moved.shape == (4, 4, 8, 8)
    assert moved.isfinite().all()
    assert moved.std() > 0


def test_two_patched_models_and_the_bare_one_interleave_bit_stably(server: Server) -> None:
    graphs = {
        "bare": graph(["base", 0], ["base", 1], checkpoint("SD2")),
        "VideoCrafter2": with_module("videocrafter2_t2v_512", "SD2"),
        "ModelScope": with_module("modelscope_t2v_diffusers", "SD2", strength=0.7),
    }
    first = {name: run(server, queued) for name, queued in graphs.items()}
    assert not torch.equal(first["bare"], first["VideoCrafter2"])
    for name in ("bare", "ModelScope", "VideoCrafter2"):  # never the graph that ran last: the host would take it from its cache
        assert torch.equal(run(server, graphs[name]), first[name]), name


def test_strength_0_is_the_checkpoint_alone(server: Server) -> None:
    plain = run(server, graph(["base", 0], ["base", 1], checkpoint("SD1.5")))
    assert torch.equal(run(server, with_module("animatediff_v1", "SD1.5", strength=0.0)), plain)
    assert not torch.equal(run(server, with_module("animatediff_v1", "SD1.5")), plain)


def test_loras_change_the_motion_and_the_adapter_the_picture(server: Server) -> None:
    plain = run(server, with_module("animatediff_v3", "SD1.5"))
    for name in ("pan.ckpt", "adapter.ckpt"):
        queued = with_module("animatediff_v3", "SD1.5")
        queued["lora"] = {
            "class_type": "ZoetropeApplyMotionLora",
            "inputs": {"motion": ["file", 0], "lora_name": name, "strength": 0.8},
        }
        queued["motion"]["inputs"]["motion"] = ["lora", 0]
        out = run(server, queued)
        assert out.isfinite().all()
        assert not torch.equal(out, plain), name


def whole_checkpoint(name: str, base: str | None) -> dict[str, Any]:
    loader: dict[str, Any] = {
        "class_type": "ZoetropeLoadVideoCheckpoint",
        "inputs": {"checkpoint_name": f"{name}.ckpt", "conditioning_fps": 0.0, "scaled_latents": "scaled"},
    }
    if base:
        loader["inputs"] |= {"clip": ["base", 1], "vae": ["base", 2]}
    return graph(["video", 0], ["video", 1], {**(checkpoint(base) if base else {}), "video": loader})


@pytest.mark.parametrize(("name", "base"), WHOLE.items())
def test_a_whole_video_checkpoint_samples_finite_frames(server: Server, name: str, base: str | None) -> None:
    latents = run(server, whole_checkpoint(name, base))
    assert latents.shape == (4, 4, 8, 8)
    assert latents.isfinite().all()
    assert latents.std() > 0


def test_the_wrong_file_in_the_wrong_node_is_explained(server: Server) -> None:
    for queued, words in (
        (with_module("animatediff_v3", "SD2"), "made for SD1.x, but this MODEL is SD2.x"),
        (with_module("videocrafter2_t2v_512", "SD1.5"), "made for SD2.x, but this MODEL is SD1.x"),
        (with_module("hotshotxl", "SD1.5"), "does not fit this model"),
        (whole_checkpoint("svd_xt", None), "core's Image Only Checkpoint Loader"),
    ):
        assert words in error_of(server.run(queued))
    assert run(server, with_module("animatediff_v2", "SD1.5")).isfinite().all()


def test_mangled_files_are_refused_by_name_and_the_server_goes_on(server: Server) -> None:
    names = sorted(path.name for path in (server.folder / "models" / "animatediff_models").glob("mangled*"))
    assert len(names) == len(MANGLES)
    for name in names:
        queued = with_module("animatediff_v2", "SD1.5")
        queued["file"]["inputs"]["motion_name"] = name
        assert name in error_of(server.run(queued))
    assert run(server, with_module("animatediff_v2", "SD1.5", strength=0.9)).isfinite().all()


def test_the_report_says_what_the_file_is(server: Server) -> None:
    entry = server.run(with_module("pia", "SD1.5"))
    (text,) = entry["outputs"]["report"]["text"]
    path = Path(server.folder) / "models" / "animatediff_models" / "pia.ckpt"
    import hashlib

    assert "AnimateDiff PIA" in text
    assert hashlib.sha256(path.read_bytes()).hexdigest() in text
