"""Restyle workflows in real servers: a clip by inversion, and a video from file to file, interrupted and continued."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hosting
import pytest
import torch
from films import read_video
from real_server import Server, error_of, serve
from zoetrope.demo.detector import detect

pytestmark = [pytest.mark.e2e, pytest.mark.host]

FILE = "34_restyle_a_long_video_demo"


@pytest.fixture(scope="module", params=hosting.found_hosts(), ids=lambda host: hosting.version(host))
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(request.param, tmp_path_factory.mktemp("host")) as running:
        yield running


def test_a_video_becomes_another_video_and_keeps_its_track(server: Server) -> None:
    assert error_of(server.run(server.workflow(FILE, ZoetropeEndlessShot={"frames": 20}))) == ""
    folder = server.folder / "output" / "zoetrope"
    (source,) = folder.glob("before_restyling_00001/shot_*.mp4")
    before, after = (detect(read_video(path)[0]) for path in (source, folder / "restyled_00001_.mp4"))
    assert (before.colour, after.colour) == ("red", "green")
    assert after.motion == before.motion == "moving right"
    apart = ((after.track - before.track + 0.5) % 1 - 0.5).norm(dim=-1)
    assert apart.mean() * 64 < 5
    assert not list(folder.glob("restyled_unfinished*"))


def test_an_interrupted_video_is_continued_to_the_same_bits(server: Server) -> None:
    settings: dict[str, Any] = {"ZoetropeEndlessShot": {"frames": 20}}
    whole = {"filename_prefix": "zoetrope/whole", "steps": 12}
    assert error_of(server.run(server.workflow(FILE, **settings, ZoetropeRestyleVideo=whole))) == ""
    folder = server.folder / "output" / "zoetrope"
    stopped = server.workflow(FILE, **settings, ZoetropeRestyleVideo={**whole, "filename_prefix": "zoetrope/stopped"})
    queued = server.queue(stopped)
    end = time.monotonic() + 120
    while time.monotonic() < end and not list(folder.glob("stopped_unfinished_00001/state.safetensors")):
        time.sleep(0.1)
    server.post("/interrupt", {})
    ended = error_of(server.wait(queued))
    assert ended in ("interrupted", "")
    if ended:
        assert not (folder / "stopped_00001_.mp4").exists()
        assert error_of(server.run(stopped)) == ""
    a, b = (read_video(folder / f"{name}_00001_.mp4")[0] for name in ("whole", "stopped"))
    assert torch.equal(a, b)


def test_inversion_keeps_the_motion(server: Server, tmp_path: Path) -> None:
    entry = server.run(server.workflow("17_another_look_by_inversion_demo"))
    assert error_of(entry) == ""
    (path,) = (server.folder / "output" / "video").glob("zoetrope_inversion*.mp4")
    found = detect(torch.nn.functional.avg_pool2d(read_video(path)[0], 4))
    assert found.colour == "yellow"
    assert found.motion == "moving right"
