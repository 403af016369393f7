"""Journals that are damaged, lie or are killed: refused by name, or resumed to the same bits."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from films import read_video
from shot_process import LATENT, CheapSampler, all_latents, picture_hash, take
from torch import Tensor
from zoetrope.shots.journal import Journal, Sizes, changed
from zoetrope.video.io.join import join_videos
from zoetrope.video.io.write import write_video

pytest.importorskip("av")
from stopped_shots import FRAMES


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("shot.json", b"{}", r"shot.json: not the header of a shot .* delete the folder"),
        ("shot.json", b'{"format": "zoetrope.shot", "version": 2}', "expected zoetrope.shot 1, got zoetrope.shot 2"),
        ("shot.json", b" " * (1 << 21), "more than 1048576 bytes"),
        ("shot.json", b"[" * 200_000, "shot.json: not the header"),
        ("state.safetensors", b"", "state.safetensors: damaged"),
        ("state.safetensors", b"x" * 200_000_00, "damaged .expected at most"),
        ("latents_00001.safetensors", b"12345678{}", r"latents_00001.safetensors: damaged .* delete the folder"),
    ],
)
def test_damaged_journals_are_refused_by_name(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    folder = tmp_path / "shot"
    take(folder, FRAMES)
    (folder / name).write_bytes(content)
    for video in folder.glob("*.mp4"):
        video.unlink()
    with pytest.raises(ValueError, match=message):
        take(folder, FRAMES)


def test_a_state_without_a_frame_number_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "shot"
    take(folder, FRAMES)
    tensors = load_file(folder / "state.safetensors")
    for frame in (None, torch.zeros(3, dtype=torch.int64), torch.tensor(1.5)):
        kept = {name: value for name, value in tensors.items() if name != "frame"}
        save_file(kept if frame is None else {**kept, "frame": frame}, folder / "state.safetensors")
        with pytest.raises(ValueError, match=r"state.safetensors: damaged \(no frame number\)"):
            take(folder, FRAMES)


def test_a_video_that_cannot_be_read_is_made_again(tmp_path: Path, whole: tuple[Tensor, str, Path], caplog: Any) -> None:
    folder = tmp_path / "shot"
    take(folder, FRAMES - 1)
    (folder / "video_00001.mp4").write_bytes(b"")
    assert picture_hash(take(folder, FRAMES).video) == whole[1]
    assert "video_00001.mp4: no readable video" in caplog.text


def test_a_state_that_does_not_go_with_its_files_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "shot"
    take(folder, FRAMES)
    (folder / "latents_00000.safetensors").unlink()
    with pytest.raises(ValueError, match="does not match the files beside it"):
        take(folder, FRAMES)


def test_a_header_with_wild_sizes_is_refused(tmp_path: Path) -> None:
    Journal.create(tmp_path / "shot", Sizes(1 << 30, 16, LATENT), {}, {})
    with pytest.raises(ValueError, match="impossible sizes"):
        Journal.open(tmp_path / "shot")


def test_numbers_by_frame_of_an_old_shot_are_read_as_they_were_typed(tmp_path: Path) -> None:
    ramp = "Numbers(cues=(Cue(frame=0, said='1', fade=0), Cue(frame=12, said='0.5', fade=4)), values=(1.0, 0.5))"
    plain = "Numbers(cues=(Cue(frame=0, said='3', fade=0),), values=(3.0,))"
    settings = {"strength": ramp, "cfg": plain, "seed": 3, "name": "Numbers"}
    Journal.create(tmp_path / "shot", Sizes(4, 16, LATENT), settings, {})
    opened = Journal.open(tmp_path / "shot").settings
    assert opened == {"strength": "0: 1 / 12: 0.5 ~4", "cfg": "3", "seed": 3, "name": "Numbers"}
    assert changed({"cfg by frame": "None"}, {"cfg by frame": "0: 3 / 48: 5 ~12"}) == [
        "cfg by frame (none, now 0: 3 / 48: 5 ~12)"
    ]


def test_what_changed_is_said_in_words() -> None:
    before = {"cfg": 7.0, "model": "sha256:a", "seed": 1, "old": True}
    now = {"cfg": 8.0, "model": "sha256:b", "seed": 1, "new": 2}
    assert changed(before, now) == ["cfg (7.0, now 8.0)", "model", "new (none, now 2)", "old (True, now none)"]


def test_parts_join_without_a_frame_too_many_or_too_few(tmp_path: Path) -> None:
    frames = torch.linspace(0, 1, 23).reshape(-1, 1, 1, 1).expand(23, 3, 32, 48)
    parts = []
    for number, part in enumerate((frames[:7], frames[7:8], frames[8:])):
        parts.append(tmp_path / f"{number}.mp4")
        write_video(parts[-1], part, 12, joinable=True)
    join_videos(parts, tmp_path / "all.mp4")
    joined, rate = read_video(tmp_path / "all.mp4")
    assert rate == 12
    assert torch.equal(joined, torch.cat([read_video(part)[0] for part in parts]))
    write_video(tmp_path / "other.mp4", frames[..., :32], 12, joinable=True)
    with pytest.raises(ValueError, match="other.mp4: expected a part like the first"):
        join_videos([*parts, tmp_path / "other.mp4"], tmp_path / "bad.mp4")
    with pytest.raises(ValueError, match="at least one part"):
        join_videos([], tmp_path / "none.mp4")
    assert not (tmp_path / "bad.mp4").exists()


@pytest.mark.slow
@pytest.mark.parametrize("decoder", ["image", "windows", "carried"])
def test_killed_at_any_moment_it_resumes_to_the_same_bits(
    tmp_path: Path, whole: tuple[Tensor, str, Path], decoder: str
) -> None:
    frames = 65 if decoder == "carried" else FRAMES  # at least as many latents
    expected = picture_hash(take(tmp_path / "undisturbed", frames, CheapSampler(decoder=decoder)).video)
    program = Path(__file__).parents[1] / "support" / "shot_process.py"
    chance, kills, moments = random.Random(5), 0, set()
    attempt = 0
    while kills < 30:
        attempt += 1
        folder = tmp_path / f"shot{attempt}"
        while True:
            process = subprocess.Popen(
                [sys.executable, str(program), str(folder), str(frames), decoder], stdout=subprocess.PIPE, text=True
            )
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            time.sleep(chance.uniform(0, 1.3))
            finished = process.poll() is not None
            process.send_signal(signal.SIGKILL)
            process.wait()
            if finished:
                break
            kills += 1
            moments.add(tuple(sorted(path.name for path in folder.glob("*"))) if folder.exists() else ())
        made = all_latents(folder, FRAMES)
        assert len(made) >= 17
        assert torch.equal(made, whole[0][: len(made)])
        assert picture_hash(folder / f"shot_{frames:05}_frames.mp4") == expected
    assert len(moments) > 3  # in different states of the folder
