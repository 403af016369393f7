"""The node Restyle Video: from file to file, with the embedded model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from demo_jobs import said, world
from films import film_at, read_video

pytestmark = pytest.mark.host

QUICK: dict[str, Any] = {
    "start": "noise by frame", "denoise": 0.5, "seed": 1, "steps": 2, "cfg": 1.0, "fps": 0.0, "window": 6,
    "filename_prefix": "zoetrope/other", "overlap": 2,
}  # fmt: skip


@pytest.fixture
def demo(tiny: Any) -> Iterator[Any]:
    from zoetrope.hosts.comfyui.loaders.demo import load_demo

    with torch.inference_mode():
        yield load_demo()
    tiny.unload()


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    return tmp_path / "zoetrope"


def run(demo: Any, images: Any, **more: Any) -> Any:
    from zoetrope.nodes.restyle_video import RestyleVideo

    words = said(demo, "a green circle moving right on black at 8 fps")
    given = {"model": demo.model, "positive": words, "negative": said(demo, ""), "vae": demo.vae, "images": images}
    return RestyleVideo.execute(**{**given, **QUICK, **more})


def video(folder: Path, frames: int = 9) -> Any:
    """A VIDEO of 12 frames per second with a tone as long as its frames."""
    from zoetrope.hosts.comfyui.api import VideoFromFile
    from zoetrope.video.io.sound import add_sound
    from zoetrope.video.io.write import write_video

    path = folder / "source.mp4"
    write_video(path, iter(world(frames, fps=8)), 12)
    add_sound(path, torch.sin(torch.arange(frames * 4000) * 0.05)[None] * 0.5, 48000)
    return VideoFromFile(str(path))


def test_a_video_becomes_a_file_with_its_rate_and_sound(demo: Any, output: Path, tmp_path: Path) -> None:
    from zoetrope.video.io.read import sound_of

    run(demo, video(tmp_path))
    frames, rate = read_video(output / "other_00001_.mp4")
    assert (len(frames), rate) == (9, 12.0)
    sound = sound_of(output / "other_00001_.mp4")
    assert sound is not None
    assert abs(sound[0].shape[1] / sound[1] - 9 / 12) < 0.05
    assert sound[0].abs().max() > 0.3
    assert sorted(path.name for path in output.iterdir()) == ["other_00001_.json", "other_00001_.mp4"], "latents are removed"
    before = (output / "other_00001_.mp4").stat().st_mtime_ns
    run(demo, video(tmp_path))
    assert (output / "other_00001_.mp4").stat().st_mtime_ns == before, "the finished file is used again"
    run(demo, video(tmp_path), steps=1)
    assert (output / "other_00002_.mp4").exists()


def test_an_interrupted_run_is_continued_also_with_other_colours(
    demo: Any, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zoetrope.hosts.comfyui.jobs import restyle
    from zoetrope.hosts.comfyui.jobs.restyle_stages import Stages
    from zoetrope.hosts.comfyui.progress import NodeProgress
    from zoetrope.shots import sinks

    monkeypatch.setattr(restyle, "MOST_TICKS", 1)
    monkeypatch.setattr(sinks, "SAVED_EVERY", 0.0)
    plain, ticks = Stages.run, 0

    def interrupted(stages: Any, entering: Any, place: Any, held: Any) -> Any:
        nonlocal ticks
        ticks += 1
        if ticks == 4:
            raise InterruptedError
        return plain(stages, entering, place, held)

    monkeypatch.setattr(Stages, "run", interrupted)
    with pytest.raises(InterruptedError):
        run(demo, video(tmp_path, 17))
    assert [path.name for path in output.iterdir()] == ["other_unfinished_00001"]
    ticks, lines = 100, list[str]()
    monkeypatch.setattr(NodeProgress, "show_text", lambda self, text: lines.append(text))
    run(demo, video(tmp_path, 17), match_colour="adain")
    assert lines[0].startswith("42 %"), "three of seven ticks"
    assert ticks == 100 + (4 + 2 + 1) - 3, "three of seven ticks are not computed again"
    assert len(read_video(output / "other_00001_.mp4")[0]) == 17
    assert not (output / "other_unfinished_00001").exists()


def test_a_file_of_a_phone_is_upright_at_an_even_rate_with_its_sound(demo: Any, output: Path, tmp_path: Path) -> None:
    from odd_files import ffmpeg
    from zoetrope.hosts.comfyui.api import VideoFromFile
    from zoetrope.video.io.read import facts_of, sound_of

    uneven = film_at(tmp_path / "uneven.mp4", [0, 100, 250, 300, 500, 550, 700, 800], size=(71, 46), sound=True)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", uneven, "-c", "copy", turned)
    facts = facts_of(str(turned))
    run(demo, VideoFromFile(str(turned)))
    frames, rate = read_video(output / "other_00001_.mp4")
    assert frames.shape[2:] == (64, 40), "upright, cropped to multiples of 8"
    assert abs(len(frames) - facts.frames) <= 1
    assert rate == pytest.approx(float(facts.fps), abs=0.01)
    sound = sound_of(output / "other_00001_.mp4")
    assert sound is not None
    assert abs(sound[0].shape[1] / sound[1] - len(frames) / rate) < 0.1, "sound as long as the frames"
    loud = sound[0].abs().amax(0) > 0.1
    assert loud.nonzero()[0] / sound[1] < 0.05, "sound from the first frame on"


@pytest.mark.one_host
def test_pictures_of_a_control_net_are_made_of_the_source(demo: Any, output: Path, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.jobs.restyle_request import canny

    source = world(7, fps=8).movedim(1, -1)
    with pytest.raises(ValueError, match="the positive prompt has no ControlNet"):
        run(demo, source, fps=8.0, hint="canny")
    edges = canny(source[0].movedim(-1, 0), 0.4, 0.8)
    assert edges.shape == (3, 64, 64)
    assert set(edges.unique().tolist()) <= {0.0, 1.0}
    assert 0 < edges.mean() < 0.2


@pytest.mark.one_host
def test_bad_input_is_refused_by_name(demo: Any, output: Path) -> None:
    source = world(7, fps=8).movedim(1, -1)
    for more, words in (
        ({"start": "inversion", "fps": 8.0}, "source_prompt: start is 'inversion'"),
        ({}, "fps: expected more than 0"),
        ({"fps": 8.0, "hint": "edges"}, "hint: expected"),
        ({"fps": 8.0, "steps": 5000}, "steps: expected 1 to"),
        ({"fps": 8.0, "vae": None}, "vae: the loaded file contains none"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            run(demo, source, **more)
