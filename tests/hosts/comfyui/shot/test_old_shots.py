"""A shot that the code of 0.1 began goes on: its settings are recognised, its frames are kept, the next ones are the same."""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from steady_shot import steady_shot
from zoetrope.shots.folder import ShotFolder
from zoetrope.shots.journal import Journal

pytestmark = pytest.mark.host

BEGUN = Path(__file__).parents[3] / "shots" / "data" / "begun_by_0_1"
FRAMES, LONGER = 18, 22


class Quiet:
    def opening(self, folder: str, resumed: int, reason: Sequence[str]) -> None: ...

    def starting(self, step: int, steps: int) -> None: ...

    def progress(self, frame: int, done: int, total: int, decoded: Any, seconds_left: float) -> None: ...


def rooms() -> Any:
    from zoetrope.hosts.comfyui.conditioning import frame_guide, image_prompt, timeline
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.hosts.comfyui.shot import shot
    from zoetrope.sampling import queue
    from zoetrope.sampling import timeline as cues

    return SimpleNamespace(
        image_prompt=image_prompt, frame_guide=frame_guide, timeline=timeline, queue=queue, cues=cues, shot=shot,
        guider_of=guider_of,
    )  # fmt: skip


def test_a_shot_begun_by_0_1_goes_on(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = rooms()
    shutil.copytree(BEGUN / "shot_00001", tmp_path / "shot_00001")
    with torch.inference_mode():
        inputs, request = steady_shot(house, tiny, tmp_path, monkeypatch)
        shot, reason = house.shot.make_shot(inputs, replace(request, frames=LONGER), ShotFolder(tmp_path, "shot"), Quiet())
    tiny.unload()
    assert (reason, shot.resumed, shot.video.parent.name) == ([], FRAMES, "shot_00001")
    state = Journal.open(shot.video.parent).state()
    assert state is not None
    expected = load_file(BEGUN / "frames_18_to_21.safetensors")["latents"]
    assert torch.allclose(state.pending[-len(expected) :], expected, atol=1e-3 * float(expected.abs().max()))
