"""The command line before anything runs: help, version, errors in words, names of files, examples of the README."""

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from naming import ROOT
from zoetrope.cli import _parser, main
from zoetrope.cli.checks import in_words, names_of
from zoetrope.cli.shot import DECODER_NAMES, PRESET_NAMES
from zoetrope.cli.study import CHANGES
from zoetrope.demo.layout import part_path
from zoetrope.demo.words import COLOURS, MOST_STEPS, MOTIONS, SHAPES
from zoetrope.hosts.diffusers.demo.decoder import DECODERS
from zoetrope.sampling.diffusion import SD_SIGMAS
from zoetrope.sampling.queue import PRESETS
from zoetrope.video.io.write import write_video
from zoetrope.video.quality.resampling import RESAMPLINGS

COMMANDS = ("inspect", "demo", "shot", "metrics", "vae-study")


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as left:  # argparse leaves by itself
        status = int(left.code or 0)
    seen = capsys.readouterr()
    return status, seen.out, seen.err


def test_constants_that_avoid_an_import_are_the_real_ones() -> None:
    assert tuple(PRESETS) == PRESET_NAMES
    assert DECODERS == DECODER_NAMES
    assert tuple(RESAMPLINGS) == CHANGES
    assert len(SD_SIGMAS) == MOST_STEPS


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["demo", "--help"], [], ["dmeo"], ["demo", "--frames", "0"], ["metrics", "nosuch.mp4"],
     ["demo", "--picture", "nosuch.png"], ["shot", "--prompt", "0: a red circle / x: b"], ["inspect", "nosuch.safetensors"]],
)  # fmt: skip
def test_help_and_wrong_arguments_cost_no_import_of_torch(arguments: list[str]) -> None:
    code = (
        "import sys, naming; naming.name_the_checkout()\n"
        "from zoetrope.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('torch', 'numpy', 'PIL', 'diffusers', 'av') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT / "tools", capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_version_is_the_one_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = printed(capsys, "--version")
    assert status == 0
    assert f'version = "{out.removeprefix("zoetrope ").strip()}"' in (ROOT / "pyproject.toml").read_text()


def test_no_command_prints_the_help_and_a_typing_error_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = printed(capsys)
    assert status == 2
    assert all(command in err for command in COMMANDS)
    status, _, err = printed(capsys, "dmeo")
    assert status == 2
    assert "'demo'" in err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_argument_has_help_with_its_default(command: str) -> None:
    groups = next(action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    for action in groups.choices[command]._actions:
        assert action.help, action.dest
        if action.default not in (None, False, argparse.SUPPRESS) and action.nargs != "*":
            assert "default" in action.help, action.dest


@pytest.mark.parametrize("command", ["demo", "shot"])
def test_help_has_the_words_of_the_world_and_seed_0(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = printed(capsys, command, "--help")
    assert status == 0
    words = " ".join(out.split())
    assert all(word in words for word in (*COLOURS, *SHAPES, *MOTIONS))
    assert _parser().parse_args([command]).seed == 0


def test_errors_of_the_system_are_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "text.png").write_text("in the way")
    for output, reason in ((tmp_path / "text.png", "a file of this name exists"), ("/proc/x", "there is no such file")):
        status, _, err = printed(capsys, "demo", "--output", output)
        assert status == 2
        assert f"zoetrope: output: the folder {output} cannot be made ({reason}" in err
        assert "Errno" not in err
    status, _, err = printed(capsys, "shot", "--output", tmp_path / "text.png")
    assert status == 2
    assert f"output: expected a folder, but {tmp_path / 'text.png'} is a file" in err
    assert in_words(OSError(28, "No space left on device", "clip.mp4")) == "clip.mp4: the disk is full"
    assert in_words(OSError("broken")) == "broken"


def test_a_missing_file_to_inspect_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = printed(capsys, "inspect", "nowhere/mm.ckpt")
    assert status == 2
    assert err == "zoetrope: nowhere/mm.ckpt: there is no such file or folder, and no folder nowhere; check the spelling\n"


def test_the_embedded_image_encoder_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = printed(capsys, "inspect", part_path("vision"))
    assert status == 2
    assert "a CLIP vision encoder" in err


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["x/a.mp4", "x/b.mp4"], ["a.mp4", "b.mp4"]),
        (["a/clip.mp4", "b/clip.mp4"], ["a/clip.mp4", "b/clip.mp4"]),
        (["a/x/clip.mp4", "b/x/clip.mp4", "b/y.mp4"], ["a/x/clip.mp4", "b/x/clip.mp4", "y.mp4"]),
        (["a.mp4", "a.mp4", "a.mp4"], ["a.mp4", "a.mp4 (2)", "a.mp4 (3)"]),
        ([], []),
    ],
)
def test_files_have_the_shortest_names_that_tell_them_apart(paths: list[str], names: list[str]) -> None:
    assert names_of([Path(path) for path in paths]) == names


def test_metrics_of_files_of_one_name_are_two_columns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, folder in enumerate(("a", "b")):
        (tmp_path / folder).mkdir()
        write_video(
            tmp_path / folder / "clip.mp4", torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(number)), 8
        )
    status, out, _ = printed(capsys, "metrics", tmp_path / "a" / "clip.mp4", tmp_path / "b" / "clip.mp4")
    assert status == 0
    assert out.splitlines()[0] == "| metric | a/clip.mp4 | b/clip.mp4 |"


def commands_of_the_readme() -> list[list[str]]:
    found = re.findall(r"^(?:\$ )?(?:\.venv/bin/)?zoetrope (.+?)(?: +#.*)?$", (ROOT / "README.md").read_text(), re.M)
    return [shlex.split(line) for line in found]


@pytest.mark.parametrize("arguments", commands_of_the_readme(), ids=" ".join)
def test_examples_of_the_readme_can_be_typed(arguments: list[str]) -> None:
    """Their files are in the checkout, or written by a line above."""
    parsed = vars(_parser().parse_args(arguments))
    made = {ROOT / "output" / "demo" / "clip.mp4", ROOT / "output" / "blue" / "clip.mp4"}
    used = [parsed.get("picture"), parsed.get("video"), *parsed.get("files", ())]
    assert {ROOT / path for path in used if path} <= made | set((ROOT / "docs").glob("*.png"))


def test_the_readme_shows_every_command() -> None:
    assert {arguments[0] for arguments in commands_of_the_readme()} == set(COMMANDS)


@pytest.mark.parametrize("arguments", [a for a in commands_of_the_readme() if a[0] == "demo"], ids=" ".join)
def test_demo_examples_of_the_readme_run(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    status, out, err = printed(capsys, *arguments, "--steps", 1, "--frames", 2, "--output", tmp_path)
    assert (status, json.loads(out)["ignored"], json.loads(out)["left_out"]) == (0, [], []), err
