"""Endless Shot in real servers: interrupted and resumed to the same bits, killed, lengthened, and seen in the real editor."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosting
import pytest
from real_server import Server, error_of, serve

pytestmark = [pytest.mark.e2e, pytest.mark.host, pytest.mark.slow]


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def host(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture(scope="module")
def server(host: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(host, tmp_path_factory.mktemp("host")) as running:
        yield running


def graph(server: Server, **inputs: Any) -> dict[str, Any]:
    """The shipped workflow with other inputs of Endless Shot."""
    return server.workflow("03_endless_shot_demo", ZoetropeEndlessShot=inputs)


def folder_of(server: Server, name: str, number: int = 1) -> Path:
    return server.folder / "output" / "zoetrope" / f"{name}_{number:05}"


def latents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("latents_*.safetensors")}


def wait_for_frame(server: Server, folder: Path, name: str, seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (folder / name).exists():
        time.sleep(0.2)
    assert (folder / name).exists(), server.tail()


def test_the_shipped_shot_interrupted_and_resumed_is_the_undisturbed_one(server: Server) -> None:
    from films import read_video
    from zoetrope.demo.detector import detect

    folder = folder_of(server, "demo_shot")
    prompt = server.queue(graph(server))
    wait_for_frame(server, folder, "video_00001.mp4")
    time.sleep(2)
    started = time.monotonic()
    server.post("/interrupt", {"prompt_id": prompt})
    assert error_of(server.wait(prompt)) == "interrupted"
    assert time.monotonic() - started < 20
    unfinished, _ = read_video(folder / "unfinished.mp4")
    assert len(unfinished) >= 32
    entry = server.run(graph(server))
    assert error_of(entry) == ""
    (shown,) = [file for output in entry["outputs"].values() for file in output.get("images", [])]
    frames, rate = read_video(server.folder / "output" / shown["subfolder"] / shown["filename"])
    assert (len(frames), rate, tuple(frames.shape[1:])) == (96, 8.0, (3, 64, 64))
    begin, end = detect(frames[:48]), detect(frames[64:])
    assert (begin.colour, end.colour) == ("red", "blue")
    assert "moving right" in (begin.motion, end.motion)
    undisturbed = server.run(graph(server, filename_prefix="zoetrope/undisturbed"))
    assert error_of(undisturbed) == ""
    assert latents(folder) == latents(folder_of(server, "undisturbed"))
    (again,) = (folder_of(server, "undisturbed")).glob("shot_*.mp4")
    assert bool((read_video(again)[0] == frames).all())


def test_a_killed_server_goes_on_and_a_changed_setting_starts_anew_and_says_so(host: Path, tmp_path: Path) -> None:
    small = {"frames": 40, "preset": "fast", "filename_prefix": "zoetrope/killed"}
    with serve(host, tmp_path) as first:
        first.queue(graph(first, **small))
        wait_for_frame(first, folder_of(first, "killed"), "latents_00000.safetensors")
    # the end of `serve` is a SIGKILL
    folder = tmp_path / "output" / "zoetrope" / "killed_00001"
    kept = (folder / "latents_00000.safetensors").read_bytes()
    with serve(host, tmp_path) as second:
        assert error_of(second.run(graph(second, **small))) == ""
        assert (folder / "latents_00000.safetensors").read_bytes() == kept
        assert (folder / "shot_00040_frames.mp4").exists()
        assert not folder.with_name("killed_00002").exists()
        assert error_of(second.run(graph(second, **{**small, "frames": 44}))) == ""
        assert (folder / "shot_00044_frames.mp4").exists()
        assert error_of(second.run(graph(second, **{**small, "frames": 4, "cfg": 2.5}))) == ""
        assert folder.with_name("killed_00002").exists()
        assert "new shot killed_00002: cfg (3.0, now 2.5)" in second.log.read_text()


def main_memory(server: Server) -> int:
    """Bytes that the server holds."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory of another process is read from /proc")
def test_3000_frames_keep_the_servers_memory_flat(server: Server) -> None:
    """A short queue, four levels and windows of eight, so that it takes minutes."""
    nodes = graph(server, frames=3000, cfg=1.0, filename_prefix="zoetrope/long", queue=["7", 0], sigmas=["8", 0])
    queue = {
        "window": 8,
        "partitions": 1,
        "context": 4,
        "shift": 0,
        "eta": 1.0,
        "windows_per_call": 1,
        "initial_queue": "base clip",
    }
    nodes["7"] = {"class_type": "ZoetropeQueueSettings", "inputs": queue}
    scheduler = {"model": ["2", 0], "scheduler": "normal", "steps": 4, "denoise": 1.0}
    nodes["8"] = {"class_type": "BasicScheduler", "inputs": scheduler}
    prompt, folder, held = server.queue(nodes), folder_of(server, "long"), {}
    for segment in (6, 60, 124, 186):
        wait_for_frame(server, folder, f"video_{segment:05}.mp4", 1500)
        held[16 * segment] = main_memory(server)
    assert error_of(server.wait(prompt)) == ""
    print({frame: f"{size / 2**20:.1f} MiB" for frame, size in held.items()})
    assert max(held.values()) < 1.03 * held[96]
