"""The nodes of the category Restore, on small films: values, files, sound, refusals."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from films import read_video
from old_films import overlap, psnr_in, textured

pytestmark = pytest.mark.host

PLAIN: dict[str, Any] = {
    "weave": 0.0, "flicker": 0.0, "lines": 0.0, "dust": 1.0, "fps": 0.0, "filename_prefix": "zoetrope/film"
}  # fmt: skip


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_output_directory", lambda: str(tmp_path))
    with torch.inference_mode():
        yield tmp_path / "zoetrope"


def images(frames: int = 9, size: tuple[int, int] = (96, 128)) -> torch.Tensor:
    """An IMAGE of a pan over a texture."""
    return textured(frames, size).movedim(1, -1)


def video(folder: Path, pictures: torch.Tensor, fps: int = 12) -> Any:
    """A VIDEO with a tone as long as its frames."""
    from zoetrope.hosts.comfyui.api import VideoFromFile
    from zoetrope.video.io.sound import add_sound
    from zoetrope.video.io.write import write_video

    path = folder / "source.mp4"
    write_video(path, iter(pictures.movedim(-1, 1)), fps)
    add_sound(path, torch.sin(torch.arange(len(pictures) * 48000 // fps) * 0.05)[None] * 0.5, 48000)
    return VideoFromFile(str(path))


def damage(pictures: Any, **more: Any) -> Any:
    from zoetrope.nodes.restore import AddFilmDamage

    return AddFilmDamage.execute(**{"images": pictures, "preset": "old film", "seed": 3, **more}).args


def restore(pictures: Any, **more: Any) -> Any:
    from zoetrope.nodes.restore import RestoreFilm

    return RestoreFilm.execute(**{"images": pictures, **PLAIN, **more})


NO_OTHERS = dict.fromkeys(("lines", "blotches", "flicker", "weave", "fading", "grain", "blur"), 0.0)


def test_damage_of_a_part_of_a_clip_is_that_of_the_whole(tmp_path: Path, tiny: Any) -> None:
    clip = images(6)
    whole, mask, made = damage(clip)
    assert whole.shape == clip.shape
    assert mask.shape == clip.shape[:3]
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    part, part_mask, _ = damage(clip[2:4], first_frame=2)
    assert torch.equal(part, whole[2:4])
    assert torch.equal(part_mask, mask[2:4])
    nothing, empty, _ = damage(clip, dust=0.0, **NO_OTHERS)
    assert torch.equal(nothing, clip)
    assert not empty.any()
    assert float(made.get_components().frame_rate) == 24
    sounding = damage(video(tmp_path, clip), fps=6.0)[2].get_components()
    assert float(sounding.frame_rate) == 6
    assert sounding.audio["waveform"].abs().max() > 0.3


def test_detection_finds_what_was_added(tiny: Any) -> None:
    from zoetrope.nodes.restore import DetectDamage

    dirty, truth, _ = damage(images(8, (144, 192)), dust=1.5, **NO_OTHERS)
    mask, overlay, report = DetectDamage.execute(dirty, True, False).args
    assert overlap(mask[1:-1] > 0, truth[1:-1] > 0) > 0.65
    assert torch.equal(overlay[mask == 0], dirty[mask == 0])
    assert (overlay[mask > 0] - dirty[mask > 0]).abs().mean() > 0.2
    assert report.startswith("8 frames: dust in ")
    assert "lines" not in report
    grown = DetectDamage.execute(dirty, True, False, grow=2).args[0]
    assert grown.sum() > 1.3 * mask.sum()
    with pytest.raises(ValueError, match="dust, lines: both are off"):
        DetectDamage.execute(dirty, False, False)


def test_a_film_is_restored_to_a_file_with_its_rate_and_sound(output: Path, tmp_path: Path, tiny: Any) -> None:
    from zoetrope.video.io.read import sound_of

    clip = images(9, (144, 192))
    dirty, truth, _ = damage(clip, dust=1.5, **NO_OTHERS)
    source = video(tmp_path, dirty)
    restore(source)
    frames, rate = read_video(output / "film_00001_.mp4")
    assert (len(frames), rate) == (9, 12.0)
    clean, spoilt = (one.movedim(-1, 1)[1:-1] for one in (clip, dirty))
    assert psnr_in(frames[1:-1], clean, truth[1:-1] > 0) > psnr_in(spoilt, clean, truth[1:-1] > 0) + 9
    sound = sound_of(output / "film_00001_.mp4")
    assert sound is not None
    assert abs(sound[0].shape[1] / sound[1] - 9 / 12) < 0.05
    before = (output / "film_00001_.mp4").stat().st_mtime_ns
    restore(source)
    assert (output / "film_00001_.mp4").stat().st_mtime_ns == before, "the finished file is used again"
    restore(source, mask=truth)
    frames, _ = read_video(output / "film_00002_.mp4")
    assert psnr_in(frames[1:-1], clean, truth[1:-1] > 0) > psnr_in(spoilt, clean, truth[1:-1] > 0) + 9


def test_odd_sides_are_cropped_with_their_mask(output: Path, tiny: Any) -> None:
    clip = images(4, (65, 81))
    restore(clip, fps=8.0, weave=1.0, mask=torch.zeros(1, 65, 81))
    assert read_video(output / "film_00001_.mp4")[0].shape == (4, 3, 64, 80)


@pytest.mark.one_host
def test_bad_input_is_refused_by_name(output: Path, tiny: Any) -> None:
    clip = images(4)
    for more, words in (
        ({}, "fps: expected more than 0"),
        ({"fps": 8.0, "dust": 2.0}, "dust: expected 0 to 1, got 2"),
        ({"fps": 8.0, "mask": torch.zeros(7, 96, 128)}, r"mask: expected one mask, or one per frame \(4\), got more"),
        ({"fps": 8.0, "mask": torch.zeros(2, 96, 128)}, "mask: expected one mask, or one per frame, got 2"),
        ({"fps": 8.0, "mask": torch.zeros(2, 3, 96, 128)}, r"mask: expected a MASK \(frames, height, width\)"),
        ({"fps": 8.0, "mask": torch.ones(4, 96, 128)}, "mask: frame 0 is all damage"),
        ({"fps": 8.0, "images": clip[:1]}, "a film needs 3 frames or more, got 1"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            restore(**{"pictures": more.pop("images", clip), **more})
    assert not list(output.glob("*.mp4")), "no unfinished file stays"
    for more, words in (
        ({"preset": "super 8"}, "preset: expected one of old film, tape, web, all kinds, got 'super 8'"),
        ({"dust": -1.0}, "dust: expected 0 to 1000, got -6"),
        ({"scratches": 1.0}, "the inputs do not fit this node: scratches"),
    ):
        with pytest.raises(ValueError, match=words):
            damage(clip, **more)


def repaint(pictures: Any, mask: Any, **more: Any) -> Any:
    from zoetrope.hosts.comfyui.loaders.demo import load_demo
    from zoetrope.hosts.comfyui.motion.apply import Settings, apply
    from zoetrope.nodes.restore import RepaintDamage

    parts = load_demo()
    words = parts.clip.encode_from_tokens_scheduled(parts.clip.tokenize("a red circle"))
    plain = {"seed": 0, "steps": 1, "cfg": 1.0, "denoise": 0.5, "fps": 0.0, "filename_prefix": "zoetrope/film", "window": 4}
    given = {"model": apply(parts.model, parts.motion, Settings()), "positive": words, "negative": words, "vae": parts.vae}
    return RepaintDamage.execute(**{**given, "images": pictures, "mask": mask, **plain, "overlap": 1, **more})


@pytest.mark.one_host
def test_repainted_files_have_even_sides_and_are_found_again(tmp_path: Path, output: Path, tiny: Any) -> None:
    from comfy_execution.graph_utils import ExecutionBlocker

    source, mask = video(tmp_path, images(6, (64, 64))), torch.zeros(6, 64, 64)
    mask[:, 20:40, 20:40] = 1
    repaint(source, mask)
    (made,) = output.glob("*.mp4")
    frames, _ = read_video(made)
    assert frames.shape[0] == 6
    repaint(source, mask)
    assert len(list(output.glob("*.mp4"))) == 1
    assert not list(output.glob("*unfinished*"))
    odd = repaint(images(4, (51, 49)), mask[:1, :51, :49], fps=8.0).args[0]
    assert odd.get_dimensions() == (48, 50)
    assert isinstance(repaint(source, mask, plan_only=True, seed=1).args[0], ExecutionBlocker)
    assert len(list(output.glob("*.mp4"))) == 2
    tiny.unload()
