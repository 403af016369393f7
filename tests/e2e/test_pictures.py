"""Pictures in real servers: the embedded model."""

from typing import Any

import pytest
import torch
from picture_graphs import drawing, node, run, sampled
from real_server import Server, error_of
from zoetrope.demo.detector import detect
from zoetrope.video.io.read import frames_of

pytestmark = [pytest.mark.e2e, pytest.mark.host]


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


def test_the_shipped_workflow_begins_with_the_drawn_square(server: Server) -> None:
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
    detection = detect(frames)
    assert (detection.colour, detection.background) == ("red", "black")  # how it moves, the text says: not with every seed
    drawn = (frames[0, 0] > 0.5).nonzero().float().mean(0) / 4  # (row, column) of the square's centre
    assert (drawn - torch.tensor([32.0, 18.0])).abs().max() < 4


def test_what_is_missing_is_said(server: Server) -> None:
    queued = demo_graph()
    del queued["start"]["inputs"]["first"]
    assert "needs a picture; connect first, last or both" in error_of(server.run(queued))
    queued = demo_graph(frames=1)
    queued["picture"] = node("EmptyImage", width=64, height=64, batch_size=3, color=0)
    assert "has 3 pictures for 1 frames; give it fewer" in error_of(server.run(queued))
