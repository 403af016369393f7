"""Real video files, made by the test: odd sizes, uneven rates, sound, rotation, damage."""

from pathlib import Path

import pytest
import torch
from films import film_at
from torch import Tensor
from zoetrope.video.io.read import Part, facts_of, frames_of, sound_of
from zoetrope.video.io.sound import add_sound
from zoetrope.video.io.write import write_video

pytest.importorskip("av")


def levels(frames: list[Tensor]) -> list[int]:
    return [round(float(frame.mean()) * 255 / 8) for frame in frames]


@pytest.mark.parametrize("size", [(70, 46), (71, 45)])
def test_every_frame_of_an_even_video_comes_once(tmp_path: Path, size: tuple[int, int]) -> None:
    path = film_at(tmp_path / "even.mp4", [round(n * 1000 / 24) for n in range(20)], size)
    frames = list(frames_of(path))
    assert frames[0].shape == (3, size[1], size[0])
    assert frames[0].dtype == torch.float32
    assert levels(frames) == list(range(20))
    facts = facts_of(path)
    assert (facts.width, facts.height, facts.frames) == (*size, 20)
    assert abs(float(facts.fps) - 24) < 0.05


def test_an_uneven_video_keeps_its_length(tmp_path: Path) -> None:
    """Ten frames in half a second, then five in the other half: as many in all, at their average rate, shown when they were."""
    moments = [n * 50 for n in range(10)] + [500 + n * 100 for n in range(5)]
    frames = list(frames_of(film_at(tmp_path / "uneven.mp4", moments, rate=20)))
    fps = facts_of(tmp_path / "uneven.mp4").fps
    assert abs(len(frames) / fps - 1) < 0.1
    shown = levels(frames)
    assert shown == sorted(shown)
    half = [number for number, level in enumerate(shown) if level >= 10][0] / float(fps)
    assert abs(half - 0.5) < 0.06, "the slow half begins in the middle"


def test_a_part_of_a_video(tmp_path: Path) -> None:
    path = film_at(tmp_path / "v.mp4", [n * 100 for n in range(20)], rate=10)
    assert levels(list(frames_of(path, Part(0.5, 0.6)))) == [5, 6, 7, 8, 9, 10]
    assert levels(list(frames_of(path, Part(1.5)))) == [15, 16, 17, 18, 19]
    with pytest.raises(ValueError, match="no frame after second 9"):
        list(frames_of(path, Part(9)))


def test_memory_files_are_files(tmp_path: Path) -> None:
    import io

    held = io.BytesIO(film_at(tmp_path / "v.mp4", [n * 100 for n in range(5)], rate=10).read_bytes())
    assert levels(list(frames_of(held))) == levels(list(frames_of(held))) == [0, 1, 2, 3, 4]


def test_sound_is_read_and_written(tmp_path: Path) -> None:
    source = film_at(tmp_path / "loud.mp4", [n * 50 for n in range(20)], rate=20, sound=True)
    assert sound_of(film_at(tmp_path / "silent.mp4", [0, 50])) is None
    heard = sound_of(source)
    assert heard
    wave, rate = heard
    assert rate == 8000
    assert 7500 <= wave.shape[1] <= 9500
    target = tmp_path / "new.mp4"
    write_video(target, (torch.rand(3, 32, 32) for _ in range(10)), 20)
    add_sound(target, wave, rate)
    again = sound_of(target)
    assert again
    assert abs(again[0].shape[1] / rate - 0.5) < 0.3, "no longer than the pictures"
    assert float(again[0][:, 1000:3000].abs().max()) > 0.3
    assert len(list(frames_of(target))) == 10
    assert [path.name for path in tmp_path.iterdir() if "unfinished" in path.name] == []


def test_what_is_no_video_is_refused_by_name(tmp_path: Path) -> None:
    text = tmp_path / "letter.mp4"
    text.write_text("dear all")
    with pytest.raises(ValueError, match=r"letter\.mp4: this is not a readable video"):
        facts_of(text)
    whole = film_at(tmp_path / "v.mp4", [n * 100 for n in range(30)], rate=10)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"broken\.mp4: this is not a readable video"):
        list(frames_of(broken))  # what players need stands at its end
    write_video(whole, (torch.rand(3, 64, 64) for _ in range(30)), 10)  # and here at its beginning
    broken.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(ValueError, match=r"broken\.mp4: the file cannot be read after frame \d+"):
        list(frames_of(broken))
    with pytest.raises(ValueError, match="waveform"):
        add_sound(whole, torch.zeros(0, 5), 8000)


def test_a_playlist_is_no_video_whatever_it_is_called(tmp_path: Path) -> None:
    """FFmpeg would open what it points at: other files, other machines."""
    video = write_video(tmp_path / "secret.mp4", iter(torch.rand(4, 3, 32, 32)), 8.0)
    assert video == 4
    text = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n"
    for name in ("list.m3u8", "list.mp4"):
        (tmp_path / name).write_text(text)
        with pytest.raises(ValueError, match="this is not a readable video"):
            list(frames_of(tmp_path / name))
