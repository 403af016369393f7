"""Interpolate Frames and Upscale Video as nodes: stopped runs, with the embedded models."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from demo_jobs import said, world

pytestmark = [pytest.mark.host, pytest.mark.one_host, pytest.mark.usefixtures("inference")]

Run = Callable[..., Any]


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    return tmp_path / "zoetrope"


@pytest.fixture(params=["interpolate", "upscale"])
def run(request: pytest.FixtureRequest, output: Path) -> Run:
    """Runs a node on a clip."""
    from zoetrope.nodes.superres import InterpolateFrames, UpscaleVideo

    parts, model = request.getfixturevalue("demo" if request.param == "interpolate" else "large")
    words = said(parts, "")
    shared = {"seed": 1, "steps": 2, "cfg": 1.0, "fps": 8.0, "filename_prefix": "zoetrope/made"}

    def interpolate(**more: Any) -> Any:
        keys = world(11).movedim(1, -1)
        return InterpolateFrames.execute(model, words, words, parts.vae, parts.motion, keys, **{"factor": 4, **shared, **more})

    def upscale(**more: Any) -> Any:
        small = world(30, size=16).movedim(1, -1)
        return UpscaleVideo.execute(model, words, words, parts.vae, small, **{"noise_level": 20, **shared, **more})

    return interpolate if request.param == "interpolate" else upscale


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Lines that are shown under the node."""
    from zoetrope.hosts.comfyui.progress import NodeProgress

    shown: list[str] = []
    monkeypatch.setattr(NodeProgress, "show_text", lambda self, text: shown.append(text))
    return shown


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets the number of rounds after which the host interrupts; -1: never."""
    import comfy.model_management
    from zoetrope.hosts.comfyui.jobs import unfinished
    from zoetrope.hosts.comfyui.sampling.rounds import RoundRunner

    monkeypatch.setattr(unfinished, "WINDOWS", 1)
    plain, left = RoundRunner.run, [-1]

    def interrupted(rounds: Any, stream: Any) -> None:
        left[0] -= 1
        if left[0] == -1:
            raise comfy.model_management.InterruptProcessingException
        plain(rounds, stream)

    monkeypatch.setattr(RoundRunner, "run", interrupted)

    def after(rounds: int) -> None:
        left[0] = rounds

    return after


def files(output: Path) -> list[str]:
    return sorted(path.name for path in output.glob("made_*") if path.suffix != ".json")


def test_an_interrupted_run_is_continued_and_its_folder_removed(
    run: Run, stop: Callable[[int], None], output: Path, lines: list[str], counted: list[Any]
) -> None:
    import comfy.model_management

    run(filename_prefix="zoetrope/whole")
    whole = len(counted)
    counted.clear()
    stop(4)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run()
    assert files(output) == ["made_unfinished_00001"]
    assert lines[-1] == "stopped; finished windows are kept in made_unfinished_00001: queue again to continue"
    earlier = len(counted)
    assert 0 < earlier < whole
    lines.clear()
    stop(-1)
    run()
    assert len(counted) == whole, "finished windows are not computed again"
    assert lines[0].startswith(f"{100 * earlier // whole} %")
    assert lines[-1].endswith("of them finished earlier")
    assert "frames were finished earlier" in lines[-2]
    assert files(output) == ["made_00001_.mp4"]
    assert (output / "made_00001_.mp4").read_bytes() == (output / "whole_00001_.mp4").read_bytes()


def test_changed_settings_begin_anew_and_the_old_run_can_still_be_continued(
    run: Run, stop: Callable[[int], None], output: Path, counted: list[Any]
) -> None:
    import comfy.model_management

    stop(3)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        run()
    earlier = len(counted)
    stop(-1)
    run(seed=2)
    whole = len(counted) - earlier
    assert files(output) == ["made_00001_.mp4", "made_unfinished_00001"]
    run()
    assert len(counted) == 2 * whole
    assert files(output) == ["made_00001_.mp4", "made_00002_.mp4"]


def test_a_plan_makes_no_file_and_runs_no_node_behind(run: Run, output: Path, lines: list[str], counted: list[Any]) -> None:
    from comfy_execution.graph_utils import ExecutionBlocker

    result = run(plan_only=True)
    assert [type(one) for one in result.args] == [ExecutionBlocker]
    assert len(counted) == 3, "one window and one step, three times"
    assert not output.exists() or not list(output.iterdir())
    time, *_ = lines[-1].splitlines()
    counted.clear()
    run()
    assert f": {len(counted)} windows of " in time
