"""Shots that are stopped, broken, lengthened and shortened: never a lost frame, never another bit."""

import errno
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from films import read_video
from shot_process import LATENT, SEGMENT, CheapSampler, all_latents, journal, picture_hash, take
from torch import Tensor
from zoetrope.shots import record as shot_module
from zoetrope.shots import sinks
from zoetrope.shots.journal import State
from zoetrope.shots.sinks import DecodedFrame, Step
from zoetrope.video.io.whole_file import write_whole

pytest.importorskip("av")
from stopped_shots import FRAMES


class Stop(Exception):
    """What an interrupt looks like."""


class StoppingAt(CheapSampler):
    """Interrupted when so many frames are done."""

    def __init__(self, frame: int):
        super().__init__()
        self._frame = frame

    def steps(self, state: State | None) -> Iterator[Step]:
        begun = state is not None
        for step in super().steps(state):
            if begun and step.frame - 1 == self._frame:
                raise Stop
            begun = True
            yield step


def test_the_files_of_a_shot(whole: tuple[Tensor, str, Path]) -> None:
    latents, _, video = whole
    frames, rate = read_video(video)
    assert (len(frames), rate) == (FRAMES, 8.0)
    assert len(latents) == FRAMES
    assert sorted(path.name for path in video.parent.iterdir()) == [
        "latents_00000.safetensors", "latents_00001.safetensors", "latents_00002.safetensors", "shot.json",
        "shot_00020_frames.mp4", "state.safetensors", "video.json", "video_00000.mp4", "video_00001.mp4", "video_00002.mp4",
    ]  # fmt: skip


@pytest.mark.parametrize("frame", [-7, 0, 1, 5, 6, 7, 13, 19])
def test_an_interrupted_shot_is_playable_and_goes_on_to_the_same_bits(
    tmp_path: Path, whole: tuple[Tensor, str, Path], frame: int
) -> None:
    folder = tmp_path / "shot"
    with pytest.raises(Stop):
        take(folder, FRAMES, StoppingAt(frame))
    done = max(0, frame)
    state = journal(folder).state()
    assert state is not None
    assert max(0, state.frame) == done
    if done:
        assert len(read_video(folder / "unfinished.mp4")[0]) == done
    made = take(folder, FRAMES)
    assert made.resumed == done
    assert torch.equal(all_latents(folder, FRAMES), whole[0])
    assert picture_hash(made.video) == whole[1]
    assert not (folder / "unfinished.mp4").exists()
    assert not list(folder.glob(".*"))


def test_a_longer_shot_goes_on_and_a_shorter_one_is_cut(tmp_path: Path, whole: tuple[Tensor, str, Path]) -> None:
    folder = tmp_path / "shot"
    assert len(read_video(take(folder, 4).video)[0]) == 4  # shorter than the window
    longer = take(folder, FRAMES)
    assert (longer.resumed, len(longer.latents)) == (4, 16)
    assert torch.equal(longer.latents, whole[0][-16:])
    assert picture_hash(longer.video) == whole[1]
    shorter = take(folder, 9)
    assert (shorter.resumed, len(read_video(shorter.video)[0])) == (9, 9)
    assert torch.equal(shorter.latents, whole[0][:9])
    again = take(folder, FRAMES, StoppingAt(FRAMES))  # nothing is sampled
    assert again.video == longer.video
    assert again.message(FRAMES, []) == "20 frames, all finished earlier"
    assert longer.message(FRAMES, []) == "20 frames, the first 4 finished earlier"
    assert again.message(FRAMES, ["cfg (7, now 8)"]) == "20 frames, a new shot because of: cfg (7, now 8)"


def test_looks_in_between_change_nothing(
    tmp_path: Path, whole: tuple[Tensor, str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shot_module, "ROUND", 0.0)
    monkeypatch.setattr(sinks, "SAVED_EVERY", 0.0)
    looks: list[DecodedFrame] = []
    made = take(tmp_path / "shot", FRAMES, looks=looks)
    assert torch.equal(all_latents(tmp_path / "shot", FRAMES), whole[0])
    assert picture_hash(made.video) == whole[1]
    assert {decoded.frame for decoded in looks} == set(range(FRAMES))
    assert all(torch.equal(decoded.picture, CheapSampler().decode(whole[0][decoded.frame][None], 0)[0]) for decoded in looks)


@pytest.mark.parametrize("what", ["latents", "state", "video", "join"])
def test_a_full_disk_is_named_and_nothing_is_lost(
    tmp_path: Path, whole: tuple[Tensor, str, Path], monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    folder, name = (
        tmp_path / "shot",
        {"latents": "latents_00001", "state": "state", "video": "video_00001", "join": "shot_"}[what],
    )
    real = os.replace
    spent = []

    def full(source: Any, target: Any) -> None:
        if Path(target).name.startswith(name) and (what != "state" or len(spent) > 1):
            raise OSError(errno.ENOSPC, "No space left on device")
        spent.append(target)
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    monkeypatch.setattr(sinks, "SAVED_EVERY", 0.0)
    with pytest.raises(OSError, match="No space left on device"):
        take(folder, FRAMES)
    monkeypatch.undo()
    assert not list(folder.glob(".*"))
    made = take(folder, FRAMES)
    assert torch.equal(all_latents(folder, FRAMES), whole[0])
    assert picture_hash(made.video) == whole[1]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="file"):
        take(tmp_path / "file" / "shot", FRAMES)
    with pytest.raises(OSError, match=r"missing.x\.bin could not be written .* an earlier file is unchanged"):
        write_whole(tmp_path / "missing" / "x.bin", b"1")


def test_a_frame_of_undefined_numbers_stops_the_shot_with_its_number(tmp_path: Path, whole: tuple[Tensor, str, Path]) -> None:
    class Overflowing(CheapSampler):
        def steps(self, state: State | None) -> Iterator[Step]:
            for step in super().steps(state):
                yield replace(step, queue=step.queue * float("nan")) if step.frame == 9 else step

    folder = tmp_path / "shot"
    with pytest.raises(ValueError, match=r"undefined numbers \(NaN\) while frame 8 .* Lower the cfg"):
        take(folder, FRAMES, Overflowing())
    state = journal(folder).state()
    assert state is not None
    assert state.frame == 8
    assert torch.equal(all_latents(folder, 8), whole[0][:8])
    assert picture_hash(take(folder, FRAMES).video) == whole[1]


def test_trouble_in_the_decoder_loses_no_latent(tmp_path: Path, whole: tuple[Tensor, str, Path]) -> None:
    folder, calls = tmp_path / "shot", []

    class Small(CheapSampler):
        def decode(self, latents: Tensor, piece: int | None) -> Tensor:
            calls.append(piece)
            if len(calls) > 8:
                raise MemoryError("CUDA out of memory")
            return super().decode(latents, piece)

    class Overflowing(CheapSampler):
        def decode(self, latents: Tensor, piece: int | None) -> Tensor:
            return super().decode(latents, piece) * float("nan")

    with pytest.raises(MemoryError, match="out of memory"):
        take(folder, FRAMES, Small())
    assert len(all_latents(folder, FRAMES)) == 2 * SEGMENT
    with pytest.raises(ValueError, match=r"frame 6 was decoded to undefined numbers .* its latent is intact"):
        take(folder, FRAMES, Overflowing())
    assert picture_hash(take(folder, FRAMES).video) == whole[1]


@pytest.mark.parametrize("asked", [1, 3, SEGMENT, SEGMENT + 1])
def test_a_clip_that_is_finished_at_once_may_be_longer_than_the_shot(tmp_path: Path, asked: int) -> None:
    """Few-step models: the base clip is longer than the queue, so its first frames need no more work."""

    class Ready(CheapSampler):
        def steps(self, state: State | None) -> Iterator[Step]:
            steps = super().steps(state)
            if state is None:
                first = next(steps)
                clip = torch.arange(float(SEGMENT)).reshape(-1, 1, 1, 1).expand(-1, *LATENT)
                yield replace(first, frame=SEGMENT, finished=clip)
                return
            yield from steps

    made = take(tmp_path / "shot", asked, Ready())
    assert len(read_video(made.video)[0]) == asked
    assert made.latents[:SEGMENT, 0, 0, 0].tolist() == list(range(min(asked, SEGMENT)))
