"""Sources of a live shot: a video at its own pace or the model's; a folder that is written to, damaged, emptied, removed."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor
from zoetrope.video.io.read import Part
from zoetrope.video.io.write import write_video
from zoetrope.video.live.feed import Arrived, Note
from zoetrope.video.live.sources import PictureFolder, VideoFile, fitted


def never(seconds: float) -> bool:
    time.sleep(max(0.0, seconds))
    return False


def put(folder: Path, name: str, shade: int = 128, size: tuple[int, int] = (32, 24)) -> Path:
    """Writes a picture as careful programs do: under another name first."""
    path = folder / name
    Image.new("RGB", size, (shade, 0, 0)).save(folder / f".{name}", "PNG")
    os.replace(folder / f".{name}", path)
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    shades = [torch.full((3, 24, 32), number / 20) for number in range(12)]
    write_video(tmp_path / "film.mp4", shades, 24)
    return tmp_path / "film.mp4"


def frames(found: Iterator[Arrived | Note]) -> list[Arrived]:
    return [one for one in found if isinstance(one, Arrived)]


def test_a_video_gives_all_its_frames_and_begins_where_it_is_told(film: Path) -> None:
    whole = frames(VideoFile(film, (16, 16)).arrivals(never, 4))
    assert [one.number for one in whole] == list(range(12))
    assert whole[0].picture.shape == (3, 16, 16)
    later = frames(VideoFile(film, (16, 16), start=7).arrivals(never, 4))
    assert [one.number for one in later] == [7, 8, 9, 10, 11]
    assert torch.equal(later[0].picture, whole[7].picture)
    part = frames(VideoFile(film, (16, 16), start=1, part=Part(0.25, 0.25)).arrivals(never, 4))
    assert [one.number for one in part] == [1, 2, 3, 4, 5]
    assert torch.equal(part[0].picture, whole[7].picture)


def test_a_paced_video_waits_for_each_frames_time(film: Path) -> None:
    waits: list[float] = []

    def noted(seconds: float) -> bool:
        waits.append(seconds)
        return len(waits) > 6

    assert len(frames(VideoFile(film, (16, 16), paced=True).arrivals(noted, 4))) == 6
    assert waits[6] > waits[1] + 4 / 24 - 0.15  # nothing is waited for, so the distances stay, less the time of decoding


def test_a_video_of_one_pixel_and_a_truncated_one_are_refused_with_the_reason(tmp_path: Path, film: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.gif")
    with pytest.raises(ValueError, match=r"dot.gif: expected 8 pixels or more per side, got 1x1"):
        VideoFile(tmp_path / "dot.gif", (16, 16)).check()
    part = tmp_path / "part.mp4"
    part.write_bytes(film.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"part.mp4"):
        frames(VideoFile(part, (16, 16)).arrivals(never, 4))


def test_pictures_are_cut_to_the_shape_and_not_stretched() -> None:
    wide = torch.zeros(3, 20, 60)
    wide[0, :, 20:40] = 1
    square = fitted(wide, (10, 10))
    assert square.shape == (3, 10, 10)
    assert float(square[0].min()) > 0.9
    assert fitted(square, (10, 10)) is square


def first(found: Iterator[Arrived | Note]) -> Arrived | Note:
    return next(found)


def test_a_folder_gives_new_pictures_and_of_the_old_ones_the_newest(tmp_path: Path) -> None:
    for number in range(5):
        put(tmp_path, f"old_{number}.png", number)
    found = PictureFolder(tmp_path, (16, 16)).arrivals(never, 2)
    one = first(found)
    assert isinstance(one, Arrived)
    assert (one.number, round(float(one.picture[0, 0, 0] * 255))) == (0, 4)
    put(tmp_path, "new.png", 77)
    (tmp_path / "notes.txt").write_text("no picture")
    one = first(found)
    assert isinstance(one, Arrived)
    assert (one.number, round(float(one.picture[0, 0, 0] * 255))) == (1, 77)
    time.sleep(0.01)
    put(tmp_path, "new.png", 78)  # one file that is written again and again
    one = first(found)
    assert isinstance(one, Arrived)
    assert (one.number, round(float(one.picture[0, 0, 0] * 255))) == (2, 78)
    for number in range(7):
        time.sleep(0.005)
        put(tmp_path, f"many_{number}.png", number)
    pair = [first(found), first(found)]
    assert [one.number for one in pair if isinstance(one, Arrived)] == [8, 9]


def test_a_folder_reports_stalls_sizes_and_damage_once_and_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoetrope.video.live.sources.SETTLED", 0.1)
    folder = tmp_path / "in"
    folder.mkdir()
    found = PictureFolder(folder, (16, 16), stalled=1.0).arrivals(never, 4)

    def note() -> str:
        one = first(found)
        assert isinstance(one, Note), one
        return one.text

    assert note().startswith("no new picture for 1 seconds; the last output stands")
    put(folder, "a.png")
    assert note() == "pictures arrive again"
    assert isinstance(first(found), Arrived)
    time.sleep(0.01)
    put(folder, "b.png", size=(1, 1))
    assert note() == "a picture has 1x1 pixels, expected 8 or more per side; it is left out"
    time.sleep(0.01)
    put(folder, "c.png", size=(48, 48))
    assert note() == "the pictures now have 48x48 pixels; they are fitted to 16x16"
    assert isinstance(first(found), Arrived)
    whole = put(folder, "d.png").read_bytes()
    assert note() == "the pictures now have 32x24 pixels; they are fitted to 16x16"
    assert isinstance(first(found), Arrived)
    (folder / "e.png").write_bytes(whole[:40])
    assert note() == "e.png is not a picture that can be read (PNG, JPEG, WebP, BMP); it is left out"
    shutil.rmtree(folder)
    assert note().startswith("the folder of the pictures is not there; the last output stands")
    folder.mkdir()
    put(folder, "f.png")
    assert note() == "pictures arrive again"
    one = first(found)
    assert isinstance(one, Arrived)
    assert isinstance(one.picture, Tensor)


def test_a_picture_that_is_still_being_written_is_used_when_it_is_whole(tmp_path: Path) -> None:
    whole = put(tmp_path, "a.png", 99).read_bytes()
    (tmp_path / "a.png").write_bytes(whole[:40])
    polls = 0

    def completing(seconds: float) -> bool:
        nonlocal polls
        polls += 1
        if polls == 3:
            (tmp_path / "a.png").write_bytes(whole)
        return never(seconds)

    later = first(PictureFolder(tmp_path, (16, 16)).arrivals(completing, 4))
    assert isinstance(later, Arrived)
    assert polls == 3
    assert round(float(later.picture[0, 0, 0] * 255)) == 99
