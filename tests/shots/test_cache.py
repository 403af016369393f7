"""Finished stages are found again by what they were made of."""

from pathlib import Path

from zoetrope.shots.cache import Stage, file_digest


def test_the_same_settings_find_the_video_and_others_make_a_new_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "large", {"steps": 20, "seed": 7})
    assert stage.done() is None
    assert stage.reason() == []
    first = stage.fresh()
    assert first.name == "large_00001_.mp4"
    first.write_bytes(b"video")
    assert stage.done() is None  # stopped before it was noted
    stage.note(first)
    assert stage.done() == first
    other = Stage(tmp_path, "large", {"steps": 30, "seed": 7})
    assert other.done() is None
    assert other.reason() == ["steps (20, now 30)"]
    assert other.fresh().name == "large_00002_.mp4"
    assert Stage(tmp_path, "lar", {"steps": 20, "seed": 7}).done() is None
    first.unlink()
    assert stage.done() is None  # somebody deleted the video
    assert stage.fresh().name == "large_00002_.mp4"


def test_a_name_is_no_pattern(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "shot[1]", {"steps": 20})
    first = stage.fresh()
    first.write_bytes(b"video")
    stage.note(first)
    assert stage.done() == first
    assert stage.fresh().name == "shot[1]_00002_.mp4"


def test_a_note_that_cannot_be_read_is_no_note(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "a", {"steps": 20})
    path = stage.fresh()
    path.write_bytes(b"video")
    stage.note(path)
    path.with_suffix(".json").write_text("{half")
    assert stage.done() is None
    assert stage.reason() == ["steps (none, now 20)"]


def test_a_files_digest_is_of_its_bytes(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"x" * 3_000_000)
    b.write_bytes(b"x" * 2_999_999 + b"y")
    assert file_digest(a) != file_digest(b)
    b.write_bytes(a.read_bytes())
    assert file_digest(a) == file_digest(b)


def test_a_note_that_is_too_deep_or_too_large_and_odd_numbers_stop_nobody(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "large", {"steps": 4})
    for number, text in ((1, "[" * 200_000), (2, '{"steps": 4}' + " " * (1 << 20))):
        (tmp_path / f"large_{number:05}_.json").write_text(text)
        (tmp_path / f"large_{number:05}_.mp4").write_bytes(b"x")
    (tmp_path / "large_\u00b2_.json").write_text("{}")
    assert stage.done() is None
    assert stage.fresh().name == "large_00003_.mp4"
