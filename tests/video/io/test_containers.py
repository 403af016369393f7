"""Containers: which are taken, what the others are told, and when a copy would help."""

import io
from pathlib import Path

import pytest
from odd_files import X264, ffmpeg, made, still, tone
from odd_list import FILES
from PIL import Image
from zoetrope.video.io.containers import missing_bytes
from zoetrope.video.io.read import Part, check_whole, facts_of, frames_of, sound_of

pytest.importorskip("av")


@pytest.mark.parametrize("name", ["trimmed_phone", "trimmed_mov", "browser", "webp", "avi_b_frames", "late_sound", "broadcast"])
def test_a_whole_file_lacks_nothing(tmp_path: Path, name: str) -> None:
    path = made(FILES[name], tmp_path, name)
    assert missing_bytes(path) == ""
    assert missing_bytes(io.BytesIO(path.read_bytes())) == ""
    check_whole(path)


@pytest.mark.parametrize("name", ["late_sound", "webp", "avi_b_frames", "hdr_hlg"])
def test_a_file_that_says_how_long_it_is_is_missed_its_end(tmp_path: Path, name: str) -> None:
    path = made(FILES[name], tmp_path, name)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(
        ValueError, match=rf"{path.name}: the file is truncated \(\d+ of its \d+ bytes are missing\); copy it again"
    ):
        check_whole(path)
    with pytest.raises(ValueError, match=rf"{path.name}: .*\d+ of its \d+ bytes are missing.*copy it again"):
        list(frames_of(path))


def test_an_mp4_whose_index_comes_last_is_told_that_it_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    ffmpeg(*still(), *X264, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: whole.find(b"moov") - 4])
    with pytest.raises(ValueError, match=r"v\.mp4: this is not a readable video .*its index .* is missing; copy it again"):
        facts_of(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"v\.mp4: this is not a readable video .*it is empty; copy it again"):
        facts_of(path)


def test_what_is_no_video_is_told_what_is_taken_not_to_copy_it(tmp_path: Path) -> None:
    letter, photo, picture = tmp_path / "letter.mp4", tmp_path / "photo.jpg", tmp_path / "picture.webp"
    letter.write_text("dear all, " * 500)
    Image.new("RGB", (32, 32), "red").save(photo)
    Image.new("RGB", (32, 32), "red").save(picture)
    for path in (letter, photo):
        with pytest.raises(
            ValueError, match=r"this is not a readable video .*supported are MP4, MOV, .*animated WebP"
        ) as refused:
            facts_of(path)
        assert "copy" not in str(refused.value)
    with pytest.raises(ValueError, match="it is a single picture; load it as an image"):
        facts_of(picture)
    song = tmp_path / "song.mp3"
    ffmpeg(*tone(), "-i", photo, "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic", song)
    with pytest.raises(ValueError, match="this file contains no video"):
        facts_of(song)
    with pytest.raises(ValueError, match=r"nowhere\.mp4: there is no such file in"):
        facts_of(tmp_path / "nowhere.mp4")


def test_names_and_words_of_other_scripts_are_read(tmp_path: Path) -> None:
    """A title in Latin-1, as old cameras and programs write it, is no damage; a colon in a name is no protocol."""
    path = tmp_path / "16:9 影片 %d 'x' #1.mp4"
    ffmpeg(*still(), *X264, "-metadata", "title=Cafe au lait", f"file:{path}")
    path.write_bytes(path.read_bytes().replace(b"Cafe au", b"Caf\xe9 au"))
    assert len(list(frames_of(path))) == 10


def test_the_default_sound_track_is_heard_else_the_first(tmp_path: Path) -> None:
    def waves(*words: str) -> float:
        path = tmp_path / "two.mkv"
        tones = (*tone(hertz=440), *tone(hertz=1760), "-map", "0", "-map", "1", "-map", "2")
        ffmpeg(*still(), *tones, *X264, "-c:a", "flac", *words, path)
        heard = sound_of(path)
        assert heard
        return float((heard[0][0, :-1] * heard[0][0, 1:] < 0).sum()) / 2

    assert waves() == pytest.approx(440, rel=0.15)
    assert waves("-disposition:a:0", "0", "-disposition:a:1", "default") == pytest.approx(1760, rel=0.15)


def test_a_video_with_a_cover_is_its_film(tmp_path: Path) -> None:
    cover, path = tmp_path / "cover.png", tmp_path / "v.mp4"
    Image.new("RGB", (200, 200), "red").save(cover)
    ffmpeg("-i", cover, *still(), "-map", "0", "-map", "1", *X264, "-c:v:0", "copy", "-disposition:v:0", "attached_pic", path)
    facts = facts_of(path)
    assert (facts.width, facts.height, len(list(frames_of(path)))) == (64, 48, 10)


@pytest.mark.parametrize("name", ["broadcast_late_clock", "raw_mpeg2", "trimmed_phone", "webm_late_clock", "gif", "webp"])
def test_a_part_is_what_all_of_it_has_there(tmp_path: Path, name: str) -> None:
    """Positions count from the first picture, whatever the file's clock says."""
    path = made(FILES[name], tmp_path, name)
    fps, everything = facts_of(path).fps, list(frames_of(path))
    start = 3 / fps
    part = list(frames_of(path, Part(float(start), float(2 / fps))))
    assert len(part) == 2
    assert all(float((one - other).abs().max()) < 0.02 for one, other in zip(part, everything[3:5], strict=True))
    assert abs(facts_of(path, Part(float(start))).frames - (len(everything) - 3)) <= 1 or name == "raw_mpeg2"


def test_a_far_part_is_found_by_its_place(tmp_path: Path) -> None:
    """Beyond the first seconds the file is searched, not read through; where it cannot be searched it is read."""
    for suffix, how in (
        (".mp4", X264),
        (".ts", X264),
        (".m2v", ("-c:v", "mpeg2video", "-q:v", "2")),
        (".webm", ("-c:v", "libvpx")),
    ):
        path = tmp_path / f"long{suffix}"
        ffmpeg(*still("64x48", "25", 4), *how, "-g", "12", path)
        everything = list(frames_of(path))
        part = list(frames_of(path, Part(3.0, 0.2)))
        assert len(part) == 5
        assert all(float((one - other).abs().mean()) < 0.01 for one, other in zip(part, everything[75:80], strict=True)), suffix
