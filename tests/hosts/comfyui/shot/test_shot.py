"""Endless shots through the host's guiders: resumed, interrupted, what is a change."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from host_shots import WINDOW, all_latents

pytestmark = pytest.mark.host


@pytest.mark.parametrize("prediction", ["EPS", pytest.param("V_PREDICTION", marks=pytest.mark.slow)])
def test_a_shot_with_lora_and_controlnet_is_made_lengthened_and_resumed(film: Any, prediction: str) -> None:
    from films import read_video

    short, reason = film(6, prediction=prediction, hint=0.5)
    assert (reason, short.resumed) == ([], 0)
    assert len(read_video(short.video)[0]) == 6
    longer, reason = film(10, prediction=prediction, hint=0.5)
    assert (reason, longer.resumed) == ([], 6)
    straight, _ = film(10, "other", prediction=prediction, hint=0.5)
    assert torch.equal(all_latents(longer, 10), all_latents(straight, 10))
    assert torch.equal(all_latents(longer, 6), all_latents(short, 6))
    assert torch.equal(read_video(longer.video)[0], read_video(straight.video)[0])
    assert len(longer.latents) == 8
    assert bool(longer.latents.isfinite().all())


def test_an_interrupt_is_honoured_within_a_call_and_the_shot_goes_on_from_the_same_frame(film: Any, tmp_path: Path) -> None:
    import comfy.model_management as management
    from films import read_video
    from zoetrope.shots.journal import Journal

    pressed: list[int] = []

    def tell(done: int, total: int, picture: Any, left: float) -> None:
        if done == 4 + 9 and not pressed:  # the warm-up is 4 frames
            pressed.append(done)
            management.interrupt_current_processing()

    with pytest.raises(management.InterruptProcessingException):
        film(10, tell=tell)
    folder = tmp_path / "shots" / "shot_00001"
    state = Journal.open(folder).state()
    assert state is not None
    assert state.frame == 9
    assert len(read_video(folder / "unfinished.mp4")[0]) == 9
    resumed, _ = film(10)
    assert resumed.resumed == 9
    straight, _ = film(10, "other")
    assert torch.equal(all_latents(resumed, 10), all_latents(straight, 10))


@pytest.mark.one_host
def test_changed_settings_start_a_new_shot_and_are_named(film: Any) -> None:
    from zoetrope.sampling.queue import QueueSettings, Schedules
    from zoetrope.sampling.timeline import read_numbers

    small = QueueSettings(window=2, partitions=1, context=0, shift=0)
    film(1, queue=small)
    changes: list[tuple[dict[str, Any], list[str]]] = [
        ({"cfg": 4.0}, ["cfg (3.0, now 4.0)"]),
        ({"scale": 0.06}, ["LoRAs and other weight patches"]),
        ({"hint": 0.6}, ["positive"]),
        ({"seed": 5}, ["seed (0, now 5)"]),
        ({"strength": 0.5}, ["motion settings"]),
        ({"queue": replace(small, context=1)}, ["context (0, now 1)"]),
        ({"queue": replace(small, windows_per_call=2)}, ["windows per call (1, now 2)"]),
        ({"samples": torch.zeros(1, 4, 8, 16)}, ["width and height (8x8 latent pixels, now 16x8 latent pixels)"]),
        ({"samples": torch.ones(3, 4, 8, 8)}, ["frames to go on after"]),
        ({"sigmas": torch.tensor([14.0, 6, 3, 2, 1, 0])}, ["noise levels", "levels (2, now 5)"]),
        ({"prediction": "V_PREDICTION"}, ["noise schedule"]),
    ]
    for change, words in changes:
        shot, reason = film(1, **{"queue": small, **change})
        assert reason == words, change
        assert shot.video.parent.name == "shot_00002"
        shot, reason = film(1, queue=small)  # the first one is found again
        assert (reason, shot.video.parent.name, shot.resumed) == ([], "shot_00001", 1)
        shutil.rmtree(shot.video.parent.with_name("shot_00002"))
    by_frame = Schedules(cfg=read_numbers("0: 3 / 5: 4", "cfg", 0, 9))
    assert film(1, queue=small, schedules=by_frame)[1][0] == "cfg by frame (none, now 0: 3 / 5: 4)"


@pytest.mark.one_host
def test_rows_per_call_change_no_more_than_rounding(film: Any) -> None:
    from zoetrope.sampling.queue import QueueSettings

    made = []
    for together in (1, 2, 3):
        queue = QueueSettings(window=WINDOW, partitions=2, context=1, windows_per_call=together)
        made.append(all_latents(film(4, f"together{together}", queue=queue)[0], 4))
    assert (made[0] - made[1]).abs().max() <= 1e-4
    assert (made[0] - made[2]).abs().max() <= 1e-4


def test_a_shot_in_blocks_is_made_longer_and_resumed(film: Any) -> None:
    from zoetrope.sampling.queue import QueueSettings

    queue = QueueSettings(window=WINDOW, partitions=2, context=1, block=2)
    assert film(3, queue=queue)[0].resumed == 0
    longer, reason = film(7, queue=queue)
    assert (reason, longer.resumed) == ([], 4)  # the second block is whole
    straight, _ = film(7, "straight", queue=queue)
    assert torch.equal(all_latents(longer, 7), all_latents(straight, 7))
    assert film(7, queue=replace(queue, block=1))[1] == ["noise levels", "levels (4, now 8)", "frames per block (2, now none)"]


@pytest.mark.one_host
def test_seeds_differ_and_a_shot_may_start_from_noise_or_from_few_steps(film: Any) -> None:
    from zoetrope.sampling.queue import QueueSettings

    small = QueueSettings(window=2, partitions=2, context=0, shift=0)
    first, second = (all_latents(film(3, f"seed{seed}", seed=seed, queue=small)[0], 3) for seed in (1, 2))
    assert not torch.allclose(first, second, atol=1e-2)
    noise = film(3, "noise", queue=QueueSettings(window=WINDOW, partitions=2, context=1, start="noise"))[0]
    assert len(all_latents(noise, 3)) == 3
    few, _ = film(5, "few", sigmas=torch.tensor([14.0, 3.0, 0.0]))
    assert len(all_latents(few, 5)) == 5
    whole, _ = film(7, "whole", sigmas=torch.tensor([14.0, 3.0, 0.0]))
    assert torch.equal(all_latents(whole, 5), all_latents(few, 5))


@pytest.mark.one_host
def test_a_shot_goes_on_after_another(film: Any, tiny: Any) -> None:
    from zoetrope.sampling.queue import QueueSettings

    small = QueueSettings(window=2, partitions=2, context=0, shift=0)
    first, _ = film(5, "first", queue=small)
    given = first.latents / 0.18215
    after, _ = film(3, "after", samples=given, queue=small)
    straight, _ = film(8, "straight", queue=small)
    assert all_latents(after, 3).shape == (3, 4, 8, 8)
    assert not torch.equal(all_latents(after, 3), all_latents(straight, 8)[5:])  # its own noise, its own shot
    again, reason = film(3, "after", samples=given, queue=small)
    assert (reason, again.resumed) == ([], 3)


def test_latents_that_cannot_be_filmed_are_refused(film: Any) -> None:
    with pytest.raises(ValueError, match=r"latent: expected one latent per frame \(f, c, h, w\), got \(1, 4, 2, 8, 8\)"):
        film(4, samples=torch.ones(1, 4, 2, 8, 8))


@pytest.mark.one_host
def test_a_damaged_header_is_passed_over_with_a_word(film: Any, tmp_path: Path, caplog: Any) -> None:
    shot, _ = film(2)
    (shot.video.parent / "shot.json").write_text("{")
    fresh, _ = film(2)
    assert fresh.video.parent.name == "shot_00002"
    assert "shot_00001/shot.json: not the header of a shot" in caplog.text
