"""The command `zoetrope live`: a video in another look, gone on with and replayed; arguments that cannot be used."""

import json
from pathlib import Path

import pytest
import torch
from zoetrope.cli import main
from zoetrope.shots.journal import Journal
from zoetrope.shots.live.files import same_latents
from zoetrope.video.io.write import write_video


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    status = main(["live", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.fixture
def film(tmp_path: Path) -> Path:
    ramp = torch.linspace(0, 1, 96).expand(3, 64, 96)
    write_video(tmp_path / "in.mp4", [ramp.roll(3 * number, 2) for number in range(9)], 8)
    return tmp_path / "in.mp4"


def test_a_video_is_made_in_parts_and_replayed_with_the_same_bits(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = ("--prompt", "a red circle on black", "--guidance", "remembered negative", "--scale", "1.4")
    status, out, err = run(capsys, "--video", film, "--output", tmp_path / "whole", *usual)
    whole = json.loads(out)
    assert (status, whole["frames"], whole["dropped"], whole["calls"]) == (0, 9, 0, 4)
    assert "9 frames" in err
    assert "delay" in err
    assert run(capsys, "--video", film, "--output", tmp_path / "parts", "--frames", 4, *usual)[0] == 0
    status, out, _ = run(capsys, "--video", film, "--output", tmp_path / "parts", *usual)
    assert (status, json.loads(out)["resumed"]) == (0, 4)
    journals = [Journal.open(tmp_path / name / "live_00001") for name in ("whole", "parts")]
    assert same_latents(*journals)
    status, out, _ = run(capsys, "--replay", journals[1].folder, "--output", tmp_path / "again", *usual)
    assert (status, json.loads(out)["same_bits"], json.loads(out)["frames"]) == (0, True, 9)
    status, _, err = run(capsys, "--replay", journals[1].folder, "--output", tmp_path / "again", *usual, "--seed", 1)
    assert status == 2
    assert "seed (0, now 1)" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--video", "none.mp4"), "video: there is no file none.mp4"),
        (("--folder", ".", "--levels", "60"), "levels: expected a number from 1 to 50, got 60"),
        (("--folder", ".", "--paced"), "paced: this is for a video"),
        (("--folder", ".", "--levels", "8", "--block", "16"), "levels * block + context: expected 64 frames or fewer"),
        (("--replay", "none"), "replay: there is no folder none"),
        (("--folder", ".", "--strength", "0"), "strength: expected more than 0"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, _, err = run(capsys, *arguments, "--output", tmp_path)
    assert status == 2
    assert message in err
