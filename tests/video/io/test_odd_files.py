"""Odd files as people have them: what FFmpeg shows of them is what is read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from odd_files import Judgement, heard, judged, made, onsets
from odd_list import FILES, LEFT
from zoetrope.video.io.read import facts_of, frames_of, sound_of

pytest.importorskip("av")


def differ(frames: torch.Tensor, truth: Judgement) -> np.ndarray:
    """Levels of 255 by which each frame differs from the judge's, on average."""
    both = min(len(frames), len(truth.frames))
    seen = (frames[:both].movedim(1, -1) * 255).numpy()
    return np.abs(seen - truth.frames[:both]).mean((1, 2, 3))


@pytest.mark.parametrize("name", FILES)
def test_what_ffmpeg_shows_is_what_is_read(tmp_path: Path, name: str) -> None:
    odd = FILES[name]
    path = made(odd, tmp_path, name)
    facts, frames = facts_of(path), torch.stack(list(frames_of(path)))
    view = ",".join(part for part in (odd.view, f"fps={facts.fps}" if odd.uneven else "") if part)
    truth = judged(path, view)
    if LEFT in view and differ(frames, truth).max() > odd.off:  # older PyAV looks for colours in the middle, as FFmpeg does
        truth = judged(path, view.replace(LEFT, "in_chroma_loc=center"))
    assert abs(len(frames) - len(truth.frames)) <= odd.spare, (len(frames), len(truth.frames), facts.fps)
    assert (facts.height, facts.width) == frames.shape[2:] == truth.frames.shape[1:3]
    if not odd.uneven and len(truth.moments) > 1:
        steps = np.diff(truth.moments)
        assert float(facts.fps) == pytest.approx(1 / np.mean(steps), rel=0.02)
    error = differ(frames, truth)
    assert np.sort(error)[: len(error) - odd.spare].max() <= odd.off, error
    assert odd.says in " ".join(facts.notes)
    assert odd.says or not facts.notes


SOUND = (
    "trimmed_phone", "two_tracks", "late_sound", "late_picture", "late_sound_mp4", "gap_in_sound", "broadcast",
    "broadcast_late_clock", "webm_late_clock", "dvd", "wmv", "flv",
)  # fmt: skip


@pytest.mark.parametrize("name", SOUND)
def test_sound_keeps_its_distance_from_the_picture(tmp_path: Path, name: str) -> None:
    path = made(FILES[name], tmp_path, name)
    found = sound_of(path)
    assert found
    wave, rate = found
    begins = judged(path).moments[0]
    truth = [max(0.0, moment - begins) for moment in onsets(heard(path), 8000)]
    got = onsets(wave.mean(0).numpy(), rate)
    assert len(got) == len(truth)
    assert got == pytest.approx(truth, abs=0.03)
