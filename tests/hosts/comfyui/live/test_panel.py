"""Messages of a live shot to the page that queued it, at a bounded rate, and its interrupt."""

from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host


class Server:
    client_id = "page"

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.lines: list[str] = []

    def send_sync(self, event: str, data: dict[str, Any], page: str) -> None:
        assert (event, page) == ("zoetrope.shot", "page")
        assert (data.pop("node"), data.pop("workflow")) == ("7", "w")
        self.sent.append(data)

    def send_progress_text(self, text: str, node_id: str) -> None:
        self.lines.append(text)


def test_figures_notes_and_the_newest_picture_are_sent_and_not_more_often_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.hosts.comfyui import progress
    from zoetrope.hosts.comfyui.live import panel as comfyui_panel
    from zoetrope.shots.live.host import LiveFigures

    server, now = Server(), [100.0]
    monkeypatch.setattr(progress, "_server", lambda: server)
    monkeypatch.setattr(comfyui_panel.time, "monotonic", lambda: now[0])
    panel = comfyui_panel.LivePanel("7", "w")
    panel.opening("zoetrope/live_00001", 3)
    pictures = torch.linspace(0, 1, 2 * 3 * 16 * 16).reshape(2, 3, 16, 16)
    figures = LiveFigures(5, 11.94, 0.61, 40, 6, 0)
    for _ in range(2):
        panel.shown(4, pictures)
        panel.figures(figures)
    panel.note("pictures arrive again")
    now[0] += 0.05
    panel.figures(figures)
    panel.shown(6, pictures)
    now[0] += 0.1
    panel.shown(6, pictures)
    panel.closing(8, 3)
    kinds = [(one["kind"], one.get("number")) for one in server.sent]
    assert kinds == [("open", None), ("look", 5), ("live", None), ("live", None), ("look", 7), ("done", None)]
    assert server.sent[2] == {"kind": "live", "frame": 5, "fps": 11.94, "delay": 0.61, "dropped": 6}
    line = "5 frames, 11.9 fps, delay 0.61 s, 6 dropped"
    assert server.lines == [line, f"{line}; pictures arrive again"]


def test_an_interrupt_is_raised_while_the_shot_waits_for_its_source() -> None:
    import comfy.model_management as management
    from zoetrope.hosts.comfyui.live.panel import LivePanel
    from zoetrope.shots.live.host import LiveFigures

    management.interrupt_current_processing()
    with pytest.raises(management.InterruptProcessingException):
        LivePanel(None, "w").figures(LiveFigures(0, 0.0, 0.0, 0, 0, 0))
