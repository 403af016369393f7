"""Live Shot in a real server: the shipped workflow; a folder that is spoiled and emptied; interrupted, killed, replayed."""

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hosting
import pytest
from PIL import Image, ImageDraw
from real_server import Server, error_of, serve

pytestmark = [pytest.mark.e2e, pytest.mark.host, pytest.mark.slow]

FRAMES = int(os.environ.get("ZOETROPE_LIVE_FRAMES", "120"))
"""Frames that the folder gets before the interrupt."""


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def host(request: pytest.FixtureRequest) -> Path:
    return request.param


def graph(server: Server, **inputs: Any) -> dict[str, Any]:
    """The shipped workflow; without a video where the live shot has a folder."""
    made = server.workflow("42_live_shot_demo", ZoetropeLiveShot=inputs)
    if "folder" in inputs or "replay" in inputs:
        (live,) = [node for node in made.values() if node["class_type"] == "ZoetropeLiveShot"]
        del live["inputs"]["video"]
        unused = ("ZoetropeDecodeVideoToFile", "KSampler", "EmptyLatentImage")
        made = {number: node for number, node in made.items() if node["class_type"] not in unused}
    return made


@contextmanager
def camera(folder: Path) -> Iterator[dict[str, int]]:
    """Writes a moving red square into a folder, 25 times a second, in files that are used again."""
    folder.mkdir(parents=True, exist_ok=True)
    state, over = {"written": 0, "paused": 0}, threading.Event()

    def write() -> None:
        while not over.wait(0.04):
            if state["paused"]:
                continue
            picture = Image.new("RGB", (96, 64), "black")
            left = state["written"] * 2 % 96
            ImageDraw.Draw(picture).rectangle((left, 20, left + 24, 44), fill="red")
            name = f"{state['written'] % 50:02}.png"
            folder.mkdir(exist_ok=True)
            picture.save(folder / f".{name}", "PNG")
            os.replace(folder / f".{name}", folder / name)
            state["written"] += 1

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield state
    finally:
        over.set()
        thread.join()


def shot_folder(server: Server, name: str = "live_00001") -> Path:
    return server.folder / "output" / "zoetrope" / name


def finished(folder: Path) -> int:
    from zoetrope.shots.journal import Journal

    state = Journal.open(folder).state() if (folder / "state.safetensors").exists() else None
    return max(0, state.frame) if state else 0


def wait_for(server: Server, folder: Path, frames: int, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and finished(folder) < frames:
        assert server.process.poll() is None, server.tail()
        time.sleep(0.3)
    assert finished(folder) >= frames, server.tail()


def memory(server: Server) -> int:
    """Resident memory of the server in MiB."""
    pages = int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") >> 20


def test_a_folder_is_followed_spoiled_interrupted_killed_and_replayed(host: Path, tmp_path: Path) -> None:
    from films import read_video
    from zoetrope.shots.journal import Journal
    from zoetrope.shots.live.files import same_latents

    with serve(host, tmp_path) as server, camera(tmp_path / "input" / "camera") as state:
        pictures, folder = tmp_path / "input" / "camera", shot_folder(server)
        prompt = server.queue(graph(server, folder="camera"))
        wait_for(server, folder, FRAMES // 2)
        before = memory(server)
        Image.new("RGB", (1, 1)).save(pictures / "tiny.png")
        (pictures / "broken.png").write_bytes(b"nothing")
        state["paused"] = 1
        time.sleep(6.5)
        shutil.rmtree(pictures)
        state["paused"] = 0
        wait_for(server, folder, FRAMES)
        assert memory(server) < before + 60
        started = time.monotonic()
        server.post("/interrupt", {"prompt_id": prompt})
        assert error_of(server.wait(prompt)) == "interrupted"
        print(f"ended {time.monotonic() - started:.1f} s after the interrupt, {memory(server) - before:+} MiB")
        assert len(read_video(folder / "unfinished.mp4")[0]) == finished(folder) >= FRAMES
        log = server.log.read_text(errors="replace")
        assert "a picture has 1x1 pixels" in log
        assert "no new picture for 5 seconds; the last output stands" in log
        assert "pictures arrive again" in log
        count = finished(folder)
        server.queue(graph(server, folder="camera"))
        wait_for(server, folder, count + 24)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait()
    with serve(host, tmp_path, "again") as server:
        entry = server.run(graph(server, replay="zoetrope/live_00001", filename_prefix="zoetrope/replay"))
        assert error_of(entry) == ""
        journals = [Journal.open(shot_folder(server, name)) for name in ("live_00001", "replay_00001")]
        assert same_latents(*journals)
        assert finished(journals[0].folder) >= count + 24


def test_the_shipped_workflow_makes_a_video_of_all_frames_and_goes_on(host: Path, tmp_path: Path) -> None:
    from films import read_video

    with serve(host, tmp_path) as server:
        for frames, inputs in ((12, {"frames": 12}), (32, {})):
            entry = server.run(graph(server, **inputs))
            assert error_of(entry) == ""
            files = [file for output in entry["outputs"].values() for file in output.get("images", [])]
            (video,) = [file for file in files if "live_00001" in file["subfolder"]]
            clip, rate = read_video(server.folder / "output" / video["subfolder"] / video["filename"])
            assert (len(clip), rate, tuple(clip.shape[1:])) == (frames, 8.0, (3, 64, 64))
        header = json.loads((shot_folder(server) / "shot.json").read_text())
        assert header["settings"]["kind"] == "live shot"
