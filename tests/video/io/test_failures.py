"""Files that cannot be written: known before the work, and told with the reason."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from zoetrope.video.io.sound import add_sound, check_sound
from zoetrope.video.io.whole_file import obstacle
from zoetrope.video.io.write import write_video

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")


def never() -> Iterator[Tensor]:
    raise AssertionError("no frame may be made for a file that cannot be written")
    yield


def test_a_place_that_takes_no_files_is_known_before_the_first_frame(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"v\.mp4: no file can be written there \(there is no folder .*nowhere\)"):
        write_video(tmp_path / "nowhere" / "v.mp4", never(), 8)
    with pytest.raises(OSError, match="there is no folder .*file"):
        write_video(tmp_path / "file" / "v.mp4", never(), 8)


def test_a_folder_without_rights_is_named_not_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", denied)
    monkeypatch.setattr("tempfile.TemporaryFile", denied)
    with pytest.raises(PermissionError, match="no file can be written into .*: Permission denied") as refused:
        write_video(tmp_path / "v.mp4", never(), 8)
    assert "disk" not in str(refused.value)


def test_a_full_disk_is_looked_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert obstacle(tmp_path / "v.mp4") == ""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 20))
    assert obstacle(tmp_path / "v.mp4") == "the disk is full: 3 MB are free"


@posix
@pytest.mark.parametrize("reads", ["", "head -c 100000 > /dev/null\n"], ids=["at once", "in the middle"])
def test_the_encoders_own_words_are_in_the_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: str) -> None:
    fake = tmp_path / "ffmpeg"
    report = "$(echo $FFREPORT | sed 's/^file=//; s/:level.*//')"
    fake.write_text(f"#!/bin/sh\n{reads}echo '[libx264 @ 0x5f] the moon is full' > {report}\nexit 187\n")
    fake.chmod(0o755)
    monkeypatch.setattr("imageio_ffmpeg._io.get_ffmpeg_exe", lambda: str(fake))
    with pytest.raises(OSError, match=r"v\.mp4: .*FFmpeg: the moon is full$") as failed:
        write_video(tmp_path / "v.mp4", (torch.rand(3, 64, 64) for _ in range(200)), 8)
    assert "disk" not in str(failed.value)
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


def test_a_size_that_the_encoder_refuses_is_told_with_its_words(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"v\.mp4: .*FFmpeg: \S+") as failed:
        write_video(tmp_path / "v.mp4", [torch.zeros(3, 2, 20_000)] * 3, 8)
    assert "disk" not in str(failed.value)


def test_a_missing_encoder_is_told_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found")

    monkeypatch.setattr("imageio_ffmpeg._io.get_ffmpeg_exe", missing)
    with pytest.raises(OSError, match="no video encoder: No ffmpeg exe could be found; install imageio-ffmpeg again"):
        write_video(tmp_path / "v.mp4", [torch.zeros(3, 32, 32)], 8)


@pytest.mark.parametrize(
    ("wave", "rate", "words"),
    [
        (torch.zeros(0, 5), 8000, "expected a waveform"), (torch.zeros(5), 8000, "expected a waveform"),
        (torch.zeros(1, 5), 0, "at 0"), (torch.zeros(9, 5), 8000, "1 to 8 channels, got 9"),
        (torch.full((1, 5), float("nan")), 8000, "NaN"),
    ],
)  # fmt: skip
def test_sound_that_cannot_be_written_is_known_before_the_pictures(wave: Tensor, rate: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_sound(wave, rate)


def test_sound_for_a_file_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"v\.mp4: there is no such file"):
        add_sound(tmp_path / "v.mp4", torch.zeros(1, 5), 8000)
