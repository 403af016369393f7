"""Videos: what is written is what is read, whole or not at all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import pytest
import torch
from films import read_video
from torch import Tensor
from zoetrope.demo.detector import detect
from zoetrope.demo.world import draw, film
from zoetrope.video.io.write import write_video


def clip(frames: int = 6, size: int = 64) -> Tensor:
    return film(draw(torch.Generator().manual_seed(3), motion="moving left"), frames, size)


@pytest.mark.parametrize("fps", [4, 8, 23.976])
def test_what_is_written_is_what_is_read(tmp_path: Path, fps: float) -> None:
    truth = clip(12)
    assert write_video(tmp_path / "a.mp4", truth, fps) == 12
    frames, rate = read_video(tmp_path / "a.mp4")
    assert frames.shape == truth.shape
    assert rate == pytest.approx(fps, abs=0.01)
    assert (frames - truth).abs().mean() < 0.02  # colour is stored at half the resolution
    assert detect(frames).motion == detect(truth).motion
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_frames_are_taken_one_at_a_time(tmp_path: Path) -> None:
    order: list[str] = []

    class Watched:
        """A frame that tells when its pixels are taken."""

        def __init__(self, frame: Tensor, number: int):
            self.frame, self.shape, self.number = frame, frame.shape, number

        def detach(self) -> Tensor:
            order.append(f"write {self.number}")
            return self.frame

    def one_by_one() -> Iterator[Any]:
        for number, frame in enumerate(clip(3)):
            order.append(f"ask {number}")
            yield Watched(frame, number)

    assert write_video(tmp_path / "a.mp4", one_by_one(), 8) == 3
    assert order == ["ask 0", "write 0", "ask 1", "write 1", "ask 2", "write 2"]


def test_one_frame_is_a_video(tmp_path: Path) -> None:
    assert write_video(tmp_path / "a.mp4", clip(1), 8) == 1
    assert len(read_video(tmp_path / "a.mp4")[0]) == 1


@pytest.mark.parametrize("failure", [KeyboardInterrupt, RuntimeError])
def test_an_interrupt_leaves_no_half_file_and_the_old_one_in_place(tmp_path: Path, failure: type[BaseException]) -> None:
    (tmp_path / "a.mp4").write_bytes(b"the last good one")

    def breaks_off() -> Iterator[Tensor]:
        yield from clip(3)
        raise failure

    with pytest.raises(failure):
        write_video(tmp_path / "a.mp4", breaks_off(), 8)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"the last good one"


def test_bad_input_is_named(tmp_path: Path) -> None:
    for frames, fps, words in (
        (clip(0), 8, "at least one frame"),
        (clip(1)[..., :63], 8, "H.264 needs even sides, got 63x64"),
        ([clip(1)[0], clip(1, 32)[0]], 8, "frame 1: expected 64x64 like the first, got 32x32"),
        (clip(1), 0, "fps: expected more than 0"),
    ):
        with pytest.raises(ValueError, match=words):
            write_video(tmp_path / "a.mp4", frames, fps)
    with pytest.raises(OSError, match="nowhere"):
        write_video(tmp_path / "nowhere" / "a.mp4", clip(40), 8)
    assert not list(tmp_path.iterdir())


def test_an_encoder_that_fails_at_the_end_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a full disk: all frames are sent, but the file is short."""
    monkeypatch.setattr(imageio_ffmpeg, "count_frames_and_secs", lambda path: (2, 0.25))
    with pytest.raises(OSError, match="only 2 of 6 frames"):
        write_video(tmp_path / "a.mp4", clip(), 8)
    assert not list(tmp_path.iterdir())
