"""`zoetrope demo`: a prompt, a video, a line of JSON; bad input leaves a reason and no files."""

import json
from pathlib import Path

import pytest
import torch
from films import read_video
from PIL import Image
from zoetrope.cli import main
from zoetrope.demo.layout import part_path
from zoetrope.demo.world import draw, film
from zoetrope.sampling.queue import PRESETS, QueueSettings
from zoetrope.video.io.write import write_video

ROOT = Path(__file__).parents[2]


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
    assert "zoetrope: not known: 'photorealistic'\n" in err
    assert "zoetrope: known words: colours: red, green" in err


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
        (["--frames", "0"], "frames: expected 1 to 64 (trained on 16), got 0"),
        (["--frames", "10000"], "frames: expected 1 to 64"),
        (["--steps", "0"], "steps: expected 1 to 1000"),
        (["--seed", "99999999999999999999"], "seed: expected 0 to"),
        (["--seed", "-1"], "seed: expected 0 to 2^63 - 1, got -1"),
        (["--fps", "0"], "fps: expected one of 4, 8, 16"),
        (["--guidance", "nan"], "guidance: expected a number from 0 to 30, got nan"),
        (["--guidance", "-5"], "guidance: expected a number from 0 to 30, got -5"),
        (["--guidance", "31"], "guidance: expected a number from 0 to 30, got 31"),
        (["--picture", "nosuch.png"], "picture: there is no file nosuch.png"),
        (["--picture", "no/such.png"], "picture: there is no file no/such.png; the folder no does not exist either"),
        (["--picture", "."], "picture: expected a file, got the folder ."),
    ],
)
def test_bad_input_is_a_reason_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr("zoetrope.cli.demo.open_demo", nothing_is_loaded)
    status, out, err = run(capsys, "demo", *arguments, "--output", tmp_path / "none")
    assert (status, out) == (2, "")
    assert words in err
    assert "Errno" not in err
    assert not list(tmp_path.iterdir())


def nothing_is_loaded() -> None:
    raise AssertionError("arguments are checked before the model is loaded")


def test_a_file_that_is_no_picture_is_refused_before_the_model_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zoetrope.cli.demo.open_demo", nothing_is_loaded)
    (tmp_path / "note.png").write_text("not a picture")
    status, _, err = run(capsys, "demo", "--picture", tmp_path / "note.png", "--output", tmp_path)
    assert status == 2
    assert "note.png: expected a picture (PNG, JPEG, WebP)" in err


@pytest.mark.parametrize(
    ("prompt", "ignored", "words"),
    [
        ("a dog on a skateboard", ["dog", "skateboard"], "so the prompt counts as empty; known are colours: red, green"),
        ("un cuadrado rojo", ["un", "cuadrado", "rojo"], "so the prompt counts as empty"),
        ("", [], "the prompt is empty"),
    ],
)
def test_a_prompt_of_unknown_words_runs_and_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], prompt: str, ignored: list[str], words: str
) -> None:
    status, out, err = run(capsys, "demo", "--prompt", prompt, "--steps", 1, "--frames", 2, "--output", tmp_path)
    assert status == 0
    summary = json.loads(out)
    assert (summary["ignored"], summary["prompt"], summary["as_asked"]) == (ignored, "", None)
    assert words in err


def test_what_was_assumed_exchanged_and_left_out_is_in_the_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prompt = "a purple ball moves to the left and a blue square"
    status, out, err = run(capsys, "demo", "--prompt", prompt, "--steps", 1, "--frames", 2, "--output", tmp_path)
    assert status == 0
    summary = json.loads(out)
    assert summary["prompt"] == "a magenta circle moving left on black"
    assert summary["asked"] == {"colour": "magenta", "shape": "circle", "motion": "moving left"}
    assert (summary["assumed"], summary["fps"]) == ({"background": "black"}, 8)
    assert (summary["left_out"], summary["nearest"]) == (["blue square"], {"purple": "magenta"})
    assert "zoetrope: read as 'a magenta circle moving left on black at 8 fps'" in err
    assert "this world has one object, one motion and a plain ground: left out 'blue square'" in err


def test_a_picture_shows_the_ground(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = ROOT / "docs" / "circle.png"
    for prompt, caption in ((("--prompt", "a red circle moving left"), "a red circle moving left"), ((), "moving right")):
        some = ("--picture", picture, "--steps", 1, "--frames", 2, "--output", tmp_path)
        status, out, _ = run(capsys, "demo", *prompt, *some)
        assert status == 0
        assert (json.loads(out)["prompt"], json.loads(out)["assumed"]) == (caption, {})


def test_a_folder_that_cannot_be_made_is_named_before_anything_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    status, _, err = run(capsys, "demo", "--output", tmp_path / "file")
    assert status == 2
    assert str(tmp_path / "file") in err
    assert "sampling" not in err


@pytest.mark.parametrize("moment", ["zoetrope.video.quality.sheet.contact_sheet", "zoetrope.video.io.write.write_video"])
def test_ctrl_c_while_writing_leaves_the_last_clip_and_nothing_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "clip.mp4").write_bytes(b"the last good one")
    monkeypatch.setattr(moment, interrupted)
    status, out, err = run(capsys, "demo", "--steps", 1, "--frames", 1, "--output", tmp_path)
    assert (status, out) == (130, "")
    assert "no incomplete file is left" in err
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
    monkeypatch.setitem(PRESETS, "fast", QueueSettings(window=4, partitions=2, context=0))  # the real one has 48 levels
    status, out, err = run(capsys, *arguments, "--frames", 2)
    assert status == 0
    assert "first clip: 100%" in err
    assert "8/8" in err
    assert "warm-up: 100%" in err
    frames_bar = err.split("\n")[-2].split("\r")[-1]
    assert "frames: 100%" in frames_bar
    assert "2/2" in frames_bar
    assert "later frames, for the decoder: " in err.split("\n")[-1]
    first = json.loads(out)
    assert first["story"] == "2 frames"
    assert len(read_video(first["video"])[0]) == 2
    status, out, _ = run(capsys, *arguments, "--frames", 4)
    assert json.loads(out)["story"] == "4 frames, all finished earlier"
    assert Path(json.loads(out)["video"]).parent == tmp_path / "shot_00001"
    status, out, _ = run(capsys, *arguments, "--frames", 1, "--seed", 8, "--guidance", "0: 3 / 48: 5 ~12")
    assert json.loads(out)["story"] == ("1 frame, a new shot because of: guidance (3, now 0: 3 / 48: 5 ~12), seed (0, now 8)")
    status, out, _ = run(capsys, *arguments, "--frames", 1, "--prompt", "a blue circle")
    assert "new shot because of: prompt, " in json.loads(out)["story"]
    header = (tmp_path / "shot_00003" / "shot.json").read_text()
    assert "circle" not in header, "docs/security.md: prompts are there as digests"
    assert '"guidance": "3"' in header


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
        (("--clips", 0), "clips: expected a number from 1 to 1000, got 0"),
        (("--frames", 1), "frames: expected a number from 2 to 1000, got 1"),
        (("--video", "nosuch.mp4"), "video: there is no file nosuch.mp4"),
        (("nosuch.safetensors",), "VAE: there is no file nosuch.safetensors"),
        (("--changes", "sideways"), "changes: expected some of as it is"),
    ):
        status, _, err = run(capsys, *arguments, *wrong)
        assert status == 2
        assert words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prompt", "0: a red circle / x: a blue one"], "prompt, line 1, column 19: expected a frame number and a colon"),
        (["--guidance", "0: 3 / 9: much"], "guidance, frame 9: expected a number from 0 to 30, got 'much'"),
        (["--guidance", "nan"], "guidance, frame 0: expected a number from 0 to 30, got 'nan'"),
        (["--frames", "0"], "frames: expected a number from 1 to 1000000, got 0"),
        (["--windows-per-call", "65"], "windows per call: expected a number from 1 to 64, got 65"),
        (["--seed", "-1"], "seed: expected 0 to 2^63 - 1, got -1"),
        (["--fps", "9"], "fps: expected one of 4, 8, 16"),
    ],
)
def test_a_shot_that_cannot_be_is_a_reason_and_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr("zoetrope.cli.shot.open_demo", nothing_is_loaded)
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
    told = ("--truth", files[0], "--window", 4, "--plot", tmp_path / "plot.png", "--json", tmp_path / "all.json")
    status, table, _ = run(capsys, "metrics", *files, *told)
    assert status == 0
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    rows = {name: figures for name, *figures in cells}
    assert rows["metric"] == ["calm.mp4", "beating.mp4"]
    assert {"PSNR dB", "difference", "second difference", "drift", "pulse", "seams", "SI", "blur"} < set(rows)
    assert float(rows["its error"][0]) == 0
    assert float(rows["its error"][1]) == pytest.approx(25, abs=3)
    page = json.loads((tmp_path / "all.json").read_text())
    assert len(page["clips"]["beating.mp4"]["by frame"]["difference"]) == 11
    assert Image.open(tmp_path / "plot.png").width > 500
    status, _, err = run(capsys, "metrics", tmp_path / "none.mp4")
    assert status == 2
    assert err == f"zoetrope: metrics: there is no file {tmp_path / 'none.mp4'}\n"
