"""A live shot: every frame of a source comes out, a stopped shot goes on, a replay has the same bits, changes are kept."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from live_shots import SETTINGS, Audience, Host, Numbered, Stopped, journal_in, run_in
from zoetrope.sampling.live import LiveLayout
from zoetrope.shots.folder import ShotFolder
from zoetrope.shots.journal import Journal
from zoetrope.shots.live.control import ControlFile, read_control
from zoetrope.shots.live.files import replay, same_latents
from zoetrope.shots.live.host import LiveSettings
from zoetrope.shots.live.input import FromFeed
from zoetrope.shots.live.record import Change, Changes, PromptFrom
from zoetrope.shots.live.run import LiveRun
from zoetrope.video.io.read import facts_of, frames_of
from zoetrope.video.live.feed import feeding


def only_shot(folder: Path) -> Journal:
    return Journal.open(folder / "live_00001")


@pytest.mark.parametrize("frames", [1, 3, 4, 64, 70])
@pytest.mark.parametrize("concurrent", [False, True])
def test_a_source_of_any_length_gives_as_many_frames(tmp_path: Path, frames: int, concurrent: bool) -> None:
    audience = Audience()
    shot = run_in(tmp_path, frames, Host(concurrent), audience=audience)
    assert (shot.frames, audience.frames) == (frames, list(range(frames)))
    assert facts_of(shot.video).frames == frames
    assert shot.calls == -(-frames // 4) + 1  # the queue of two levels is emptied with one more call
    assert audience.last is not None
    assert (audience.last.frames, audience.last.arrived, audience.last.dropped) == (frames, frames, 0)


def test_blocks_and_threads_do_not_change_what_a_frame_shows(tmp_path: Path) -> None:
    one, other = (run_in(tmp_path / name, 40, Host(concurrent)).video for name, concurrent in (("a", False), ("b", True)))
    assert all(torch.equal(*pair) for pair in zip(frames_of(one), frames_of(other), strict=True))


@pytest.mark.parametrize("stop_at", [1, 2, 7, 19])
def test_a_stopped_shot_goes_on_to_the_same_bits_and_has_a_playable_video(tmp_path: Path, stop_at: int) -> None:
    whole = run_in(tmp_path / "whole", 90)
    host = Host()
    host.stop_at = stop_at
    with pytest.raises(Stopped):
        run_in(tmp_path / "parts", 90, host)
    unfinished = tmp_path / "parts" / "live_00001" / "unfinished.mp4"
    finished = max(0, 4 * (stop_at - 2))
    assert unfinished.exists() == bool(finished)
    if finished:
        assert facts_of(unfinished).frames == finished
    shot = run_in(tmp_path / "parts", 90)
    assert (shot.frames, shot.resumed) == (90, finished)
    assert same_latents(only_shot(tmp_path / "whole"), only_shot(tmp_path / "parts"))
    assert all(torch.equal(*pair) for pair in zip(frames_of(whole.video), frames_of(shot.video), strict=True))
    assert not unfinished.exists()
    assert run_in(tmp_path / "parts", 90).resumed == 90  # a finished one is not computed again


def test_a_shot_of_fewer_frames_than_its_source_is_made_longer_as_if_it_had_not_ended(tmp_path: Path) -> None:
    run_in(tmp_path / "whole", 60)
    assert run_in(tmp_path / "parts", 60, frames=20).frames == 20
    assert run_in(tmp_path / "parts", 60).resumed == 20
    assert same_latents(only_shot(tmp_path / "whole"), only_shot(tmp_path / "parts"))


class Script:
    """Changes before calls of given numbers."""

    def __init__(self, changes: dict[int, Change]):
        self.changes, self.asked = changes, -1

    def changed(self, prompt: str | None, strength: float | None) -> Change | None:
        self.asked += 1
        return self.changes.pop(self.asked, None)


def run_of(host: Host) -> Any:
    return lambda journal, frames: LiveRun(journal, SETTINGS, host, Audience(), 8.0, frames)


@pytest.mark.parametrize("stop_at", [0, 14])
def test_a_replay_has_the_same_bits_changes_included(tmp_path: Path, stop_at: int) -> None:
    host, audience = Host(), Audience()
    host.stop_at = stop_at or -1
    script = Script({3: Change(0, "longer prompt"), 5: Change(0, strength=0.9), 8: Change(0, "x", at_once=True)})
    try:
        run_in(tmp_path, 70, host, audience=audience, control=script)
    except Stopped:
        assert stop_at
    assert [note for note in audience.notes if note.startswith("changed")] == [
        f"changed from frame {n} on" for n in (12, 16, 28)
    ]
    record, again = only_shot(tmp_path), Host()
    made = replay(record, ShotFolder(tmp_path, "live"), SETTINGS, {}, {"torch": "any"}, run_of(again))
    assert made.same
    assert not made.differences
    assert again.heard == host.heard
    # without the changes the bits are others, so that the comparison means something
    shutil.copytree(record.folder, tmp_path / "other" / "live_00001")
    (tmp_path / "other" / "live_00001" / "changes.json").unlink()
    plain = only_shot(tmp_path / "other")
    assert not replay(plain, ShotFolder(tmp_path / "other", "live"), SETTINGS, {}, {"torch": "any"}, run_of(Host())).same


def test_a_replay_with_other_settings_or_without_a_record_is_refused(tmp_path: Path) -> None:
    run_in(tmp_path, 10, record=False)
    place, made_with = ShotFolder(tmp_path, "live"), {"torch": "any"}
    with pytest.raises(ValueError, match=r"source_00000.safetensors: there is no such file; this live shot was made without"):
        replay(only_shot(tmp_path), place, SETTINGS, {}, made_with, run_of(Host()))
    other = dataclasses.replace(SETTINGS, strength=0.7)
    with pytest.raises(ValueError, match=r"these differ: strength \(0.6, now 0.7\)"):
        replay(only_shot(tmp_path), place, other, {}, made_with, run_of(Host()))


def test_a_new_prompt_is_for_entering_frames_or_for_all(tmp_path: Path) -> None:
    changes = Changes(tmp_path / "changes.json", LiveLayout(3, 2, context=1))
    changes.add(Change(10, "a"))
    changes.add(Change(11, "b"))
    assert changes.prompts(9) == (PromptFrom(0, None),)
    assert changes.prompts(10) == (PromptFrom(0, None), PromptFrom(20, "a"))
    assert changes.prompts(11) == (PromptFrom(0, None), PromptFrom(20, "a"), PromptFrom(22, "b"))
    changes.add(Change(40, "c"))
    assert changes.prompts(40) == (PromptFrom(0, "b"), PromptFrom(80, "c"))  # the others have left the queue
    changes.add(Change(41, "d", at_once=True))
    assert changes.prompts(41) == (PromptFrom(0, "d"),)
    again = Changes(tmp_path / "changes.json", LiveLayout(3, 2, context=1))
    assert [again.prompts(call) for call in (11, 41)] == [changes.prompts(call) for call in (11, 41)]
    (tmp_path / "changes.json").write_text('{"changes": [{"call": -1}]}')
    with pytest.raises(ValueError, match=r"changes.json: damaged \(impossible values"):
        Changes(tmp_path / "changes.json", LiveLayout(1))


def test_invalid_changes_are_reported_and_change_nothing(tmp_path: Path) -> None:
    audience = Audience()
    script = Script({2: Change(0, "unknown"), 3: Change(0, strength=0.01)})
    run_in(tmp_path / "a", 40, audience=audience, control=script)
    run_in(tmp_path / "b", 40)
    assert [note[:60] for note in audience.notes] == [
        "not changed: prompt: expected known words",
        "not changed: levels: expected 1 to 0 at strength 0.01 (of 50"[:60],
    ]
    assert same_latents(only_shot(tmp_path / "a"), only_shot(tmp_path / "b"))


def test_a_control_file_is_read_when_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoetrope.shots.live.control.LOOK_EVERY", 0.0)
    path = tmp_path / "control.txt"
    control = ControlFile(path, at_once=True)
    assert control.changed(None, None) is None
    path.write_text("a blue circle\non white\nStrength: 0.7\n")
    assert control.changed(None, None) == Change(0, "a blue circle on white", 0.7, True)
    assert control.changed(None, None) is None  # not read again
    path.write_text("a blue circle on white\n\nstrength: 0.65")
    assert control.changed("a blue circle on white", 0.7) == Change(0, None, 0.65, True)
    path.write_text("strength: much")
    with pytest.raises(ValueError, match=r"control.txt: strength: expected a number above 0, up to 1, got 'much'"):
        control.changed(None, 0.65)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match=r"control.txt: expected text in UTF-8"):
        control.changed(None, 0.65)
    assert read_control("", "control") == (None, None)


def test_nothing_grows_with_the_length_of_a_shot(tmp_path: Path) -> None:
    """Sizes of the state and of all that is held in memory, after 200 and after 800 frames."""
    sizes = []
    for frames in (200, 800):
        journal = journal_in(tmp_path / str(frames))
        run = LiveRun(journal, SETTINGS, Host(), Audience(), 8.0)
        with feeding(Numbered(frames), 4) as feed:
            run.run(FromFeed(feed, Host().encode, 4))
        sizes.append(
            ((journal.folder / "state.safetensors").stat().st_size // 4096, len(run._moments), len(run._sink._open) // 64)
        )
    assert sizes[0] == sizes[1]


def test_settings_of_the_queue_are_part_of_the_shot(tmp_path: Path) -> None:
    run_in(tmp_path, 8)
    other: LiveSettings = dataclasses.replace(SETTINGS, layout=LiveLayout(2, 2, context=3))
    assert journal_in(tmp_path, other).folder.name == "live_00002"
    assert journal_in(tmp_path).folder.name == "live_00001"
    assert journal_in(tmp_path, fresh=True).folder.name == "live_00003"
