"""What the filmstrip is told."""

import base64
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image

pytestmark = pytest.mark.host


class Server:
    """The host's own, as far as it is spoken to."""

    def __init__(self, client_id: str | None):
        self.client_id = client_id
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.lines: list[str] = []

    def send_sync(self, event: str, data: dict[str, Any], page: str) -> None:
        self.sent.append((event, data, page))

    def send_progress_text(self, text: str, node_id: str) -> None:
        self.lines.append(text)


@pytest.fixture
def strip(monkeypatch: pytest.MonkeyPatch) -> Any:
    from zoetrope.hosts.comfyui import progress as comfyui_progress
    from zoetrope.hosts.comfyui.shot import filmstrip as comfyui_strip

    def make(client_id: str | None = "page", node_id: str | None = "7") -> Any:
        server = Server(client_id)
        monkeypatch.setattr(comfyui_progress, "_server", lambda: server)
        monkeypatch.setattr(
            comfyui_progress.comfy.utils, "ProgressBar", lambda *_, **__: SimpleNamespace(update_absolute=print)
        )
        return comfyui_strip.Filmstrip(node_id, "w", 40), server

    return make


def test_the_page_that_queued_the_run_hears_how_it_goes(strip: Any) -> None:
    from zoetrope.shots.sinks import DecodedFrame

    film, server = strip()
    picture = torch.linspace(0, 1, 3 * 64 * 48).reshape(3, 64, 48)
    film.opening("shot_00001", 16, ["cfg (3.0, now 2.5)"])
    film.starting(3, 48)
    film.progress(-20, 12, 72, None, 9.5)
    film.progress(20, 52, 72, DecodedFrame(19, picture), 5.0)
    film.closing("40 frames")
    assert {(event, page) for event, _, page in server.sent} == {("zoetrope.shot", "page")}
    told = [data for _, data, _ in server.sent]
    shown = told.pop(3)
    assert {(data.pop("node"), data.pop("workflow")) for data in told} == {("7", "w")}
    assert told == [
        {"kind": "open", "folder": "shot_00001", "resumed": 16, "frames": 40, "news": ["cfg (3.0, now 2.5)"]},
        {"kind": "base", "step": 3, "steps": 48},
        {"kind": "frame", "frame": -20, "frames": 40, "left": 9.5},
        {"kind": "frame", "frame": 20, "frames": 40, "left": 5.0},
        {"kind": "done", "resumed": 16, "frames": 40},
    ]
    assert (shown["kind"], shown["number"]) == ("look", 19)
    seen = Image.open(BytesIO(base64.b64decode(shown["picture"])))
    assert (seen.format, seen.size) == ("JPEG", (192, 256))
    assert server.lines == []  # the strip has all of it; a line under the node as well would say everything twice


def test_large_frames_are_sent_small_and_without_a_page_nothing_is_sent(strip: Any) -> None:
    from zoetrope.hosts.comfyui.shot.filmstrip import jpeg
    from zoetrope.shots.sinks import DecodedFrame

    large = Image.open(BytesIO(base64.b64decode(jpeg(DecodedFrame(0, torch.rand(3, 600, 1200))))))
    assert large.size == (512, 256)
    for made in ({"client_id": None}, {"node_id": None}):
        film, server = strip(**made)
        film.progress(20, 52, 72, DecodedFrame(19, torch.rand(3, 8, 8)), 5.0)
        assert server.sent == []
