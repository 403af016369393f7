"""Progress of a long run: bar, preview, text under the node."""

import pytest

pytestmark = pytest.mark.host


def test_the_text_has_the_frame_or_the_warm_up() -> None:
    from zoetrope.hosts.comfyui.progress import where

    assert [where(frame, 40) for frame in (-32, 0, 1, 40)] == [
        "warming up, 33 to go", "warming up, 1 to go", "frame 1 of 40", "frame 40 of 40",
    ]  # fmt: skip


def test_progress_updates_the_hosts_bar_and_enlarges_small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from zoetrope.hosts.comfyui import progress as comfyui_progress

    lines: list[str] = []
    node_progress = comfyui_progress.NodeProgress("7", 40)
    monkeypatch.setattr(node_progress, "show_text", lines.append)
    node_progress.starting(3, 48)
    node_progress.progress(0, 72, None, 0.0)
    node_progress.progress(53, 72, torch.rand(3, 64, 48), 18.4)
    assert lines == ["first clip, step 3 of 48", "warming up, 33 to go", "frame 21 of 40, 18 s left"]
    assert node_progress._picture.size == (192, 256)
