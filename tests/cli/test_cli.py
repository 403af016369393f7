"""`zoetrope demo`: a prompt, a video, a line of JSON; bad input leaves a reason and no files."""

import json
from pathlib import Path

import pytest
import torch
from films import read_video
from PIL import Image
from zoetrope.cli import demo, main
from zoetrope.demo.layout import part_path
from zoetrope.demo.world import draw, film
from zoetrope.sampling.queue import PRESETS, Queue
from zoetrope.video.io.write import write_video


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(list(map(str, arguments)))
    printed = capsys.readouterr()
    return status, printed.out, printed.err


def test_a_prompt_becomes_a_video_a_sheet_and_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = run(capsys, "demo", "--output", tmp_path / "deep" / "er")
    assert status == 0
    (line,) = out.splitlines()
    summary = json.loads(line)
    assert summary["as_asked"] is True
    assert summary["seen"] == {"colour": "red", "shape": "circle", "motion": "moving right", "background": "black"}
    assert "25/25" in err  # the progress bar
    frames, rate = read_video(summary["video"])
    assert (len(frames), rate) == (16, 8.0)
    assert {path.name for path in (tmp_path / "deep" / "er").iterdir()} == {"clip.mp4", "clip.png"}


def test_words_outside_the_grammar_are_named_and_ignored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "a photorealistic yellow square standing still on grey"
    status, out, err = run(capsys, "demo", "--prompt", prompt, "--steps", 4, "--frames", 2, "--output", tmp_path)
    assert status == 0
    assert json.loads(out)["ignored"] == ["photorealistic"]
    assert "ignored 'photorealistic'; the embedded model knows colours: red, green" in err


def test_a_rate_in_the_prompt_is_the_rate_of_the_video(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The workflow's prompt, pasted."""
    prompt = "a red circle moving right on black at 16 fps"
    status, out, _ = run(capsys, "demo", "--prompt", prompt, "--steps", 2, "--frames", 4, "--output", tmp_path)
    assert status == 0
    summary = json.loads(out)
    assert (summary["fps"], summary["ignored"], summary["prompt"]) == (16, [], "a red circle moving right on black")
    assert read_video(summary["video"])[1] == 16


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "a dog on a skateboard"], "knows none of it. It knows colours: red"),
        (["--prompt", ""], "knows none of it"),
        (["--frames", "0"], "frames: expected 1 to 64 (trained on 16), got 0"),
        (["--frames", "10000"], "frames: expected 1 to 64"),
        (["--steps", "0"], "steps: expected 1 to 1000"),
        (["--seed", "99999999999999999999"], "seed: expected 0 to"),
        (["--fps", "0"], "fps: expected one of 4, 8, 16"),
    ],
)
def test_bad_input_is_a_reason_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    status, out, err = run(capsys, "demo", *arguments, "--output", tmp_path)
    assert (status, out) == (2, "")
    assert words in err
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    status, _, err = run(capsys, "demo", "--output", tmp_path / "file")
    assert status == 2
    assert str(tmp_path / "file") in err
    assert "sampling" not in err


@pytest.mark.parametrize("moment", ["contact_sheet", "write_video"])
def test_ctrl_c_while_writing_leaves_the_last_clip_and_nothing_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "clip.mp4").write_bytes(b"the last good one")
    monkeypatch.setattr(demo, moment, interrupted)
    status, out, err = run(capsys, "demo", "--steps", 1, "--frames", 1, "--output", tmp_path)
    assert (status, out) == (130, "")
    assert "no half file is left" in err
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    assert (tmp_path / "clip.mp4").read_bytes() == b"the last good one"


@pytest.mark.parametrize("frames", [1, 17])
def test_other_lengths(tmp_path: Path, capsys: pytest.CaptureFixture[str], frames: int) -> None:
    status, out, _ = run(capsys, "demo", "--steps", 1, "--frames", frames, "--output", tmp_path, "--prompt", "moving right")
    assert status == 0
    summary = json.loads(out)
    assert (summary["as_asked"] is None) == (frames == 1)  # one frame shows no motion
    assert len(read_video(summary["video"])[0]) == frames


def test_a_shot_is_planned_filmed_and_lengthened(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = "0: a red circle moving right on black / 3: a blue circle moving right on black ~2"
    arguments = ("shot", "--prompt", prompt, "--preset", "fast", "--output", tmp_path)
    status, out, _ = run(capsys, *arguments, "--frames", 1000, "--plan")
    assert status == 0
    assert out.startswith("time ")
    assert "windows per call" in out
    assert not list(tmp_path.iterdir())
    monkeypatch.setitem(PRESETS, "fast", Queue(window=4, partitions=2, context=0))  # the real one has 48 levels
    status, out, err = run(capsys, *arguments, "--frames", 2)
    assert status == 0
    assert "first clip, step 8 of 8" in err
    first = json.loads(out)
    assert first["story"] == "2 frames"
    assert len(read_video(first["video"])[0]) == 2
    status, out, _ = run(capsys, *arguments, "--frames", 4)
    assert json.loads(out)["story"] == "4 frames, the first 2 there already"
    assert Path(json.loads(out)["video"]).parent == tmp_path / "shot_00001"
    status, out, _ = run(capsys, *arguments, "--frames", 1, "--seed", 8)
    assert json.loads(out)["story"] == "1 frame, a new shot because of: seed (7, now 8)"


def test_a_study_is_a_table_and_a_chart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("vae-study", "--clips", 2, "--frames", 9, "--changes", "as it is", "shuffled", "--output", tmp_path)
    status, out, _ = run(capsys, *arguments)
    assert status == 0
    assert out == (tmp_path / "study.md").read_text()
    assert [line.split(" | ")[1] for line in out.splitlines()[2:]] == ["one frame at a time", "with the frames around"] * 2
    assert (tmp_path / "study.png").stat().st_size > 5_000
    video = tmp_path / "clip.mp4"
    write_video(video, torch.rand(6, 3, 64, 64), 8)
    status, out, _ = run(capsys, *arguments, "--video", video, part_path("vae"))
    assert status == 0
    assert "VAE" not in out, "one VAE needs no column"
    for wrong, words in (
        (("--clips", 0), "1 to 1000 clips"),
        (("--changes", "sideways"), "changes: expected some of as it is"),
    ):
        status, _, err = run(capsys, *arguments, *wrong)
        assert status == 2
        assert words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "0: a red circle / x: a blue one"], "prompt, line 1, column 19: expected a frame number and a colon"),
        (["--prompt", "0: a dog / 4: a red circle"], "prompt 'a dog': the embedded model knows none of it"),
        (["--guidance", "0: 3 / 9: much"], "guidance, frame 9: expected a number from 0 to 30, got 'much'"),
        (["--frames", "0"], "expected 1 to 1000000 frames"),
        (["--fps", "9"], "fps: expected one of 4, 8, 16"),
    ],
)
def test_a_shot_that_cannot_be_is_a_reason_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    status, _, err = run(capsys, "shot", *arguments, "--output", tmp_path / "none")
    assert status == 2
    assert words in err
    assert not (tmp_path / "none").exists()


def test_metrics_of_videos_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = film(draw(torch.Generator().manual_seed(2), motion="moving right"), 12, 64)
    beat = torch.where(torch.arange(12) % 2 == 0, 0.1, 0.0)[:, None, None, None]
    for name, frames in (("calm", clip * 0.8), ("beating", clip * 0.8 + beat)):
        write_video(tmp_path / f"{name}.mp4", frames, 8)
    files = [str(tmp_path / f"{name}.mp4") for name in ("calm", "beating")]
    told = ("--truth", files[0], "--window", 4, "--plot", tmp_path / "plot.png")
    status, table, _ = run(capsys, "metrics", *files, *told)
    assert status == 0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    rows = {name: figures for name, *figures in cells}
    assert rows["clip"] == ["frames", "PSNR dB", "difference", "its error", "second difference", "drift", "pulse", "seams"]
    assert float(rows["calm.mp4"][3]) == 0
    assert float(rows["beating.mp4"][3]) == pytest.approx(25, abs=3)
    assert Image.open(tmp_path / "plot.png").width > 500
    status, _, err = run(capsys, "metrics", tmp_path / "none.mp4")
    assert status == 2
    assert "none.mp4" in err
