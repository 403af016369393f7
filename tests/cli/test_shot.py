"""The command `zoetrope shot`: the part of a prompt that always holds, a coherent tail."""

import json
from pathlib import Path

import pytest
import torch
from zoetrope.cli import main
from zoetrope.sampling.queue import PRESETS, QueueSettings
from zoetrope.shots.journal import Journal


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(list(map(str, arguments)))
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_the_part_that_always_holds_is_in_every_prompt_of_a_shot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "fast", QueueSettings(window=4, partitions=1, context=0, start="noise"))
    arguments = ("shot", "--preset", "fast", "--output", tmp_path, "--frames")
    short = "0: a red circle moving right / 3: a blue circle moving right ~2\nalways: on grey"
    assert run(capsys, *arguments, 1, "--prompt", short)[0] == 0
    full = "0: a red circle moving right on grey / 3: a blue circle moving right on grey ~2"
    status, out, _ = run(capsys, *arguments, 2, "--prompt", full)
    assert (status, json.loads(out)["story"]) == (0, "2 frames, all finished earlier")
    status, _, err = run(capsys, *arguments, 2, "--prompt", "0: a red circle\nalways:")
    assert status != 0
    assert "prompt, line 2, column 1: expected a text after always:" in err


def test_a_shot_with_a_coherent_tail_is_resumed_to_the_bit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small = QueueSettings(window=4, partitions=1, context=0, start="noise", coherent_tail=0.7)
    monkeypatch.setitem(PRESETS, "fast", small)
    arguments = ("shot", "--preset", "fast", "--output")
    last: list[torch.Tensor] = []
    made = ""
    for name, lengths in (("whole", [5]), ("parts", [2, 5])):
        for frames in lengths:
            status, made, _ = run(capsys, *arguments, tmp_path / name, "--frames", frames)
            assert status == 0
        state = Journal.open(Path(json.loads(made)["video"]).parent).state()
        assert state is not None
        last.append(state.queue)
    assert torch.equal(*last)


def test_the_length_of_a_closed_loop_is_a_setting_of_the_shot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PRESETS, "fast", QueueSettings(window=4, partitions=1, context=0, start="noise"))
    arguments = ("shot", "--preset", "fast", "--output", tmp_path, "--frames")

    def made(*more: object) -> tuple[str, torch.Tensor]:
        status, out, _ = run(capsys, *arguments, *more)
        assert status == 0
        said = json.loads(out)
        return said["story"], Journal.open(Path(said["video"]).parent).first(5)

    open_end = made(5)[1]
    story, closed = made(5, "--loop")
    assert story == "5 frames, a new shot because of: closed loop of frames (none, now 5)"
    assert made(5, "--loop")[0] == "5 frames, all finished earlier"
    assert (closed[-1] - closed[0]).norm() < (open_end[-1] - open_end[0]).norm()
    assert made(6, "--loop")[0] == "6 frames, a new shot because of: closed loop of frames (5, now 6)"
    status, _, err = run(capsys, *arguments, 3, "--loop")
    assert status != 0
    assert "loop: expected 4 frames or more" in err
