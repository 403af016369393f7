"""Windows and weights against those recorded from AnimateDiff-Evolved; what every cut must hold; shuffled noise."""

import json
from pathlib import Path

import golden
import pytest
import torch
from torch import Tensor
from zoetrope.sampling.noise import shuffled
from zoetrope.sampling.windows import FUSES, SCHEDULES, Windows, denoise_in_windows

FILES = golden.claim("context_windows*")


@pytest.mark.parametrize("path", FILES)
def test_windows_are_the_recorded_ones(path: Path) -> None:
    cases = json.loads(path.read_text())["windows"]
    assert cases
    for case in cases:
        cut = Windows(
            case["schedule"], case["context_length"], case["context_overlap"], case["context_stride"], case["closed_loop"]
        )
        assert cut.at(case["num_frames"], case["step"]) == case["windows"], case


@pytest.mark.parametrize("path", FILES)
def test_weights_are_the_recorded_ones(path: Path) -> None:
    cases = json.loads(path.read_text())["fuse_weights"]
    assert cases
    for case in cases:
        weights = FUSES[case["fuse_method"]](case["idxs"], case["full_length"], 4)  # the overlap they were recorded with
        assert torch.allclose(weights, torch.tensor(case["weights"]), atol=1e-7), case


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("fuse", FUSES)
def test_every_frame_is_seen_at_every_step_and_a_frame_for_itself_is_what_it_is(schedule: str, fuse: str) -> None:
    for frames in (5, 16, 17, 33, 40, 100):
        for step in range(5):
            cut = Windows(schedule, 16, 4, 1, schedule == "looped_uniform", fuse)
            windows = cut.at(frames, step)
            assert set().union(*windows) == set(range(frames))
            assert schedule == "looped_uniform" or all(len(set(window)) == len(window) <= 16 for window in windows)
            x = torch.randn(frames, 2, 3, 3)
            out = denoise_in_windows(
                lambda x, sigma, frame: 2 * x + frame.reshape(-1, 1, 1, 1), x, torch.ones(frames), cut, step
            )
            assert torch.allclose(out, 2 * x + torch.arange(frames).reshape(-1, 1, 1, 1), atol=1e-4)


def test_moving_borders_part_a_clip_anew_at_every_step() -> None:
    lengths, firsts = set(), set()
    for step in range(40):
        windows = Windows("moving borders", 4, 2, seed=3).at(19, step)
        assert sorted(frame for window in windows for frame in window) == list(range(19))  # every frame in one window
        assert all(window == list(range(window[0], window[-1] + 1)) and len(window) <= 4 for window in windows)
        assert windows == Windows("moving borders", 4, 9, seed=3).at(19, step)  # the overlap is not used
        lengths.add(len(min(windows)))
        firsts.add(windows[0][0])
    assert lengths == {1, 2, 3, 4}
    assert len(firsts) > 6  # the order is another one as well
    several = [[Windows("moving borders", 4, 2, seed=seed).at(19, step) for step in range(8)] for seed in (3, 4)]
    assert several[0] != several[1]
    assert Windows("moving borders", 16, 4).at(16, 5) == [list(range(16))]
    cut, x = Windows("moving borders", 4, 4, fuse="overlap-linear"), torch.randn(19, 2, 3, 3)
    assert torch.equal(denoise_in_windows(lambda x, sigma, frame: x, x, torch.ones(19), cut, 1), x)


def test_overlaps_are_averaged_by_weight() -> None:
    def window_number(x: Tensor, sigma: Tensor, frame: Tensor) -> Tensor:
        return torch.full_like(x, float(frame.min() > 0))

    out = denoise_in_windows(
        window_number, torch.zeros(6, 1, 1, 1), torch.ones(6), Windows("standard_static", 4, 2, fuse="flat"), 0
    )
    assert out.flatten().tolist() == [0, 0, 0.5, 0.5, 1, 1]


def test_shuffled_noise_is_the_first_windows_in_another_order() -> None:
    noise = torch.arange(50.0).reshape(50, 1, 1, 1)
    out = shuffled(noise, 16, 4, seed=3).flatten()
    assert torch.equal(out[:16], noise.flatten()[:16])
    assert sorted(out[16:28].tolist()) == list(range(12))
    assert out[16:28].tolist() != list(range(12))
    assert sorted(out[28:40].tolist()) == sorted(out[12:24].tolist())
    assert torch.equal(shuffled(noise[:30], 16, 4, seed=3).flatten(), out[:30])
    assert not torch.equal(shuffled(noise, 16, 4, seed=4).flatten(), out)
    assert torch.equal(shuffled(noise[:9], 16, 4, seed=3), noise[:9])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"schedule": "static"}, "window_schedule: expected one of standard_static, .* got 'static'"),
        ({"fuse": "soft"}, "fuse: expected one of pyramid, flat"),
        ({"overlap": 16}, r"overlap: expected 0 to 15 \(less than the window\), got 16"),
        ({"stride": 0}, "stride: expected 1 or more"),
    ],
)
def test_impossible_cuts_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Windows(**{"schedule": "standard_static", "window": 16, "overlap": 4, **arguments})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="overlap"):
        shuffled(torch.zeros(20, 1), 4, 4, 0)
