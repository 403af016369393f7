"""The recipe of the lively world: data, stages of a step each, the script that trains within a budget, evaluation."""

import json
import os
import signal
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import STAGES, Encoder
from torch import Tensor
from zoetrope.demo.lively_detector import detect
from zoetrope.demo.lively_world import GROUNDS, WORDS, draw, film
from zoetrope.demo.text import words_of
from zoetrope.training.demo import evaluation, gpu, lively, lively_evaluation, samples
from zoetrope.training.demo.__main__ import main
from zoetrope.training.demo.captions import lively_caption_of
from zoetrope.training.demo.config import LivelyVaeRun, read_config
from zoetrope.training.demo.denoising import draw_clips
from zoetrope.training.demo.library import LENGTH, build_library, scene_of
from zoetrope.training.demo.lively import film_scenes, load_lively, new_text, pictures_of
from zoetrope.training.demo.lively_evaluation import make_set, summarise
from zoetrope.training.demo.worlds import LIVELY
from zoetrope.training.loop import averaged_weights

NAMES = ("lively_vae", "lively_image", "lively_video")
TINY: dict[str, Any] = {
    "steps": 2, "batch": 1, "size": 64, "crop": 32, "scenes": 2, "shots": 1, "frames": [4], "image_share": 0.0,
    "warmup": 1, "save_every": 1, "show_every": 2,
}  # fmt: skip


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of tiny configurations; sheets and evaluations are small as well."""
    for name in NAMES:
        fields = json.loads((STAGES / f"{name}.json").read_text())
        fields |= {key: value for key, value in TINY.items() if key in fields} | {"width": 32 if "crop" in fields else 64}
        (tmp_path / f"{name}.json").write_text(json.dumps(fields))
    monkeypatch.setattr(gpu, "config_path", lambda name: tmp_path / f"{name}.json")
    for name, value in (("LEAST", 2), ("WARM", 1), ("TIMED", 1)):
        monkeypatch.setattr(gpu, name, value)
    for module in (evaluation, lively_evaluation):
        monkeypatch.setattr(module, "FRAMES", 2)
    monkeypatch.setattr(
        lively, "show_clips", lambda vae, size: lambda modules: samples.contact_sheet([torch.zeros(1, 3, 8, 8)])
    )
    monkeypatch.setattr("zoetrope.training.demo.export.PICTURES", 8)
    return tmp_path


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    monkeypatch.setattr("sys.argv", ["training", *map(str, arguments)])
    main()


def test_the_shipped_stages_fit_together() -> None:
    runs = [read_config(STAGES / f"{name}.json") for name in NAMES]
    assert [run.size for run in runs] == [128] * 3
    image, video = (json.loads((STAGES / f"{name}.json").read_text()) for name in NAMES[1:])
    assert image["width"] == video["width"]
    assert image["shots"] == video["shots"], "one library serves both"


@pytest.mark.slow
def test_the_budgeted_script_trains_continues_exports_and_evaluates(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = tiny / "runs"
    output.mkdir()
    arguments = (output, gpu.Clock.of(output / "spent.json", 0.0), torch.device("cpu"), 100)
    over = gpu.Clock.of(output / "spent.json", 0.0, call=0.001)
    with pytest.raises(SystemExit, match="the same command continues"):
        gpu.train_stage("lively_vae", output, over, torch.device("cpu"))
    planned = output / "stages" / "lively_vae.json"
    assert json.loads(planned.read_text())["steps"] == 2
    (output / "half").mkdir()
    command(monkeypatch, planned, "--output", output / "half", "--until", 1, "--half", "--device", "cpu")
    command(monkeypatch, planned, "--output", output / "half", "--half", "--device", "cpu")
    whole, half = (averaged_weights(output / name)["vae"] for name in ("lively_vae", "half"))
    assert all(torch.equal(whole[key], value) for key, value in half.items()), "stopped and continued is the same"
    gpu.train_and_evaluate(*arguments)
    image, video = (averaged_weights(output / name) for name in NAMES[1:])
    assert 0 < (video["unet"]["conv_in.weight"] - image["unet"]["conv_in.weight"]).abs().max() < 0.01
    assert set(video) == {"unet", "text", "motion"}
    figures = json.loads((output / "figures" / "lively" / "figures.json").read_text())
    assert {name: part["clips"] for name, part in figures.items()} == {"one": 1, "two": 1, "plain": 1}
    assert json.loads((output / "figures" / "shipped.json").read_text())["clips"] == 1
    assert (output / "figures" / "ceiling" / "sheet_two.png").is_file()
    assert [json.loads(line)["stage"] for line in (output / "plan.jsonl").read_text().splitlines()] == list(NAMES)
    demo = load_lively(output / "demo")
    assert demo.generate("a red circle moving up on sea", 2, steps=1, size=64).shape == (2, 3, 64, 64)
    before = {name: (output / name / "state.pt").stat().st_mtime_ns for name in NAMES}
    gpu.train_and_evaluate(*arguments)
    assert {name: (output / name / "state.pt").stat().st_mtime_ns for name in NAMES} == before, "nothing was trained again"


def test_stages_also_run_by_name_of_their_file(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tiny / f"out_{name}" for name in NAMES]
    common = ("--until", 1, "--device", "cpu")
    command(monkeypatch, tiny / "lively_vae.json", "--output", folders[0], *common)
    command(monkeypatch, tiny / "lively_image.json", "--output", folders[1], "--vae", folders[0], *common)
    command(
        monkeypatch, tiny / "lively_video.json", "--output", folders[2], "--vae", folders[0], "--from", folders[1], *common
    )  # fmt: skip
    assert [torch.load(folder / "state.pt", weights_only=True)["step"] for folder in folders] == [1, 1, 1]


def test_steps_follow_from_the_time_left_and_the_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = read_config(STAGES / "lively_vae.json")
    assert isinstance(run, LivelyVaeRun)
    times = iter([0.0, 100.0, 100.0 + 0.5 * gpu.TIMED])
    monkeypatch.setattr(gpu.time, "monotonic", lambda: next(times))
    line = torch.nn.Linear(1, 1)
    stage = lively.Stage({"line": line}, lambda kind, data: (line(torch.ones(1)).sum(), {}), lambda modules: None)  # type: ignore
    planned = gpu.fitted(run, stage, torch.device("cpu"), lambda: 200.0, tmp_path / "plan.jsonl")
    assert planned.steps == int(gpu.SLACK * 200 / 0.5)
    assert line.weight.grad is None
    assert json.loads((tmp_path / "plan.jsonl").read_text())["seconds_per_step"] == 0.5
    shares = [gpu.share_left(name) for name in NAMES]
    assert shares == pytest.approx([1.0, 0.8, 0.55])


def test_time_is_counted_over_all_calls_and_a_call_ends_by_interrupt(tmp_path: Path) -> None:
    (tmp_path / "spent.json").write_text("50.0")
    assert 0 < gpu.Clock.of(tmp_path / "spent.json", 1.0).left() <= 10.0
    assert json.loads((tmp_path / "spent.json").read_text()) >= 50.0
    assert [gpu.Clock.of(tmp_path / "none", 1.0, call).is_over() for call in (0, 1.0, 0.001)] == [False, False, True]
    with pytest.raises(KeyboardInterrupt), gpu.stopped_after(0.05):
        signal.sigtimedwait([], 10) if hasattr(signal, "sigtimedwait") else signal.pause()


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_the_shell_script_runs_the_module_and_packs_what_it_made(tmp_path: Path) -> None:
    script, runs, results = Path(gpu.__file__).with_name("gpu.sh"), tmp_path / "runs", tmp_path / "results"
    python = tmp_path / "python"
    python.write_text('#!/bin/sh\n[ "$1" = -c ] && exit 0\necho "$PYTHONPATH|$*" > "$4/log"\nmkdir "$4/demo"\n'
                      'echo weights > "$4/demo/unet"\nexit 3\n')  # fmt: skip
    python.chmod(0o755)
    done = subprocess.run(
        [script, runs, results, "--minutes", "5"], env={**os.environ, "PYTHON": str(python), "PYTHONPATH": ""}, check=False
    )
    assert done.returncode == 3, "the status is that of the training"
    path, _, arguments = (runs / "log").read_text().strip().partition("|")
    assert arguments == f"-m zoetrope.training.demo.gpu --output {runs} --minutes 5"
    assert (Path(path.split(":")[0]) / "zoetrope" / "training").is_dir()
    assert [part.name for part in results.iterdir()] == ["lively.tar.aa"]
    with tarfile.open(results / "lively.tar.aa") as archive:
        assert "demo/unet" in archive.getnames()


def test_pictures_are_crops_of_filmed_scenes() -> None:
    run = read_config(STAGES / "lively_vae.json")
    assert isinstance(run, LivelyVaeRun)
    run = replace(run, scenes=2, size=64, crop=32, batch=8)
    frames = film_scenes(run, torch.device("cpu"))
    assert frames.shape == (2 * lively.FRAMES_PER_SCENE, 3, 64, 64)
    truth = film(scene_of(1, LIVELY), 1, 64)
    assert (frames[lively.FRAMES_PER_SCENE].float() / 255 - truth[0]).abs().max() < 0.003
    draw_pictures = pictures_of(run, frames)
    crops, again = (draw_pictures(True, torch.Generator().manual_seed(1)) for _ in range(2))
    assert crops.shape == (8, 3, 32, 32)
    assert torch.equal(crops, again)
    assert draw_pictures(False, torch.Generator()).shape == (2, 3, 64, 64)


def test_the_library_holds_lively_scenes_with_their_captions(tmp_path: Path) -> None:
    library = build_library(tmp_path / "library.pt", Encoder(), "a", 3, 64, print, LIVELY)
    assert library.latents.shape == (3, LENGTH, 4, 8, 8)
    assert library.scenes == tuple(scene_of(index, LIVELY) for index in range(3))
    run: Any = read_config(STAGES / "lively_image.json")
    _, prompts = draw_clips(replace(run, dropped_prompts=0.0), library, 20, 1, torch.Generator().manual_seed(0))
    whole = {scene.caption for scene in library.scenes}
    assert sum(prompt.rpartition(" at ")[0] in whole for prompt in prompts) > 10
    assert any(prompt.rpartition(" at ")[0] not in whole for prompt in prompts)


def test_captions_fit_the_text_encoder() -> None:
    text, generator = new_text(32), torch.Generator().manual_seed(0)
    assert set(WORDS) <= set(text.config.words)
    for index in range(200):
        caption = lively_caption_of(draw(torch.Generator().manual_seed(index)), 16, 0.5, generator)
        assert len(text.tokens_of(caption)) == len(words_of(caption)) <= lively.TOKENS


def test_the_evaluation_sets_have_every_motion_ground_and_pair_and_the_truth_is_right() -> None:
    one, two, plain = (make_set(name) for name in lively_evaluation.SETS)
    assert len({(scene.objects[0].motion, scene.background) for scene in one}) == len(one) == 54
    assert len({tuple(item.motion for item in scene.objects) for scene in two}) == len(two) == 45
    assert {scene.background for scene in two} == set(GROUNDS)
    assert len(plain) == 90
    assert make_set("two") == two
    chosen = [*one[::7], *two[::9], *plain[::30]]
    results = [(scene, detect(film(scene, 16, 64))) for scene in chosen]
    figures = summarise(results)
    assert (figures.count, figures.colour, figures.ground, figures.direction, figures.still) == (1, 1, 1, 1, 1)
    assert figures.shape > 0.99
    assert figures.no_object == 0
    assert figures.jerk is not None
    assert figures.jerk < 0.2
    wrong = [(replace(scene, objects=tuple(replace(item, colour="green" if item.colour == "red" else "red")
              for item in scene.objects[:1])), found) for scene, found in results]  # fmt: skip
    assert summarise(wrong).shape < 0.3, "a shape of another colour does not count"


def test_the_reconstruction_goes_through_the_vae() -> None:
    class Halved:
        vae = Encoder()

        def encode(self, pictures: Tensor) -> Tensor:
            return pictures / 2

        def decode(self, latents: Tensor) -> Tensor:
            return latents

    demo: Any = Halved()
    scenes = make_set("two")[:1]
    clip = lively_evaluation.by_reconstruction(demo, 64)(scenes, [0])
    assert torch.allclose(clip[0], film(scenes[0], 16, 64) / 2)
