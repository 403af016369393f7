"""Endless Shot with Wan 2.1 1.3B of full size and random weights in real servers: interrupted, resumed, frames counted."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
from picture_graphs import HOSTS, node
from real_server import Server, error_of, serve

pytestmark = [pytest.mark.e2e, pytest.mark.host, pytest.mark.slow]
LATENTS = 41
FRAMES = 4 * LATENTS - 3

PROMPTS = """
import torch

class RandomPrompt:
    INPUT_TYPES = classmethod(lambda s: {"required": {"seed": ("INT", {})}})
    RETURN_TYPES, FUNCTION, CATEGORY = ("CONDITIONING",), "make", "tests"

    def make(self, seed):
        return ([[torch.randn(1, 16, 4096, generator=torch.Generator().manual_seed(seed)), {}]],)

NODE_CLASS_MAPPINGS = {"RandomPrompt": RandomPrompt}
"""
"""A node in place of Wan's text encoder, which has 5.7 billion parameters."""


@pytest.fixture(scope="module", **HOSTS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    import pooled_files

    folder = tmp_path_factory.mktemp("wan")
    pooled_files.wan_model(folder / "models" / "diffusion_models" / "wan.ckpt")
    pooled_files.wan_vae(folder / "models" / "vae" / "wan_vae.ckpt")
    (folder / "custom_nodes").mkdir()
    (folder / "custom_nodes" / "prompts.py").write_text(PROMPTS)
    with serve(request.param, folder) as running:
        yield running


def graph(**inputs: Any) -> dict[str, Any]:
    """The smallest picture that Wan samples, four latents per window, two levels, one call per latent."""
    queue = {"window": 3, "partitions": 1, "context": 1, "shift": 0, "eta": 0.0, "windows_per_call": 1}
    return {
        "model": node("UNETLoader", unet_name="wan.ckpt", weight_dtype="default"),
        "vae": node("VAELoader", vae_name="wan_vae.ckpt"),
        "prompt": node("RandomPrompt", seed=1),
        "empty": node("EmptyHunyuanLatentVideo", width=16, height=16, length=5, batch_size=1),
        "queue": node("ZoetropeQueueSettings", **queue, initial_queue="base clip"),
        "sigmas": node("BasicScheduler", model=["model", 0], scheduler="simple", steps=2, denoise=1.0),
        "shot": node(
            "ZoetropeEndlessShot", model=["model", 0], positive=["prompt", 0], negative=["prompt", 0], vae=["vae", 0],
            latent=["empty", 0], seed=3, fps=16.0, cfg=1.0, preset="recommended", queue=["queue", 0], sigmas=["sigmas", 0],
            **{"frames": FRAMES, "filename_prefix": "wan/shot", **inputs},
        ),
    }  # fmt: skip


def test_a_shot_of_wan_is_interrupted_and_resumed(server: Server) -> None:
    from films import read_video

    folder = server.folder / "output" / "wan" / "shot_00001"
    prompt = server.queue(graph())
    end = time.monotonic() + 900
    while time.monotonic() < end and not (folder / "latents_00000.safetensors").exists():
        assert server.process.poll() is None, server.tail()
        time.sleep(0.2)
    server.post("/interrupt", {"prompt_id": prompt})
    assert error_of(server.wait(prompt)) == "interrupted"
    entry = server.run(graph(), 900)
    assert error_of(entry) == ""
    frames, rate = read_video(folder / f"shot_{FRAMES:05}_frames.mp4")
    assert (len(frames), rate, tuple(frames.shape[1:])) == (FRAMES, 16.0, (3, 16, 16))
    assert not folder.with_name("shot_00002").exists()
    assert error_of(server.run(graph(filename_prefix="wan/shorter", frames=65), 900)) == ""
    shorter = folder.with_name("shorter_00001")
    (first,) = shorter.glob("latents_*.safetensors")
    assert first.read_bytes() == (folder / first.name).read_bytes()
    assert bool((read_video(shorter / "shot_00065_frames.mp4")[0] == frames[:65]).all())
