"""Second-order degradations: sizes, ranges, the walk from frame to frame."""

from dataclasses import asdict
from itertools import islice

import pytest
import torch
from demo_jobs import world
from zoetrope.video.damage.degradations import (
    FIRST,
    KINDS,
    SECOND,
    WALKING,
    by_frame,
    degraded,
    drawn_for_clip,
    kernel_of,
)


def test_frames_become_smaller_and_a_part_is_degraded_as_in_the_whole_clip() -> None:
    clip = world(6, fps=8)
    for seed in range(6):
        whole = list(degraded(clip, seed))
        assert all(frame.shape == (3, 16, 16) for frame in whole)
        assert all(0 <= frame.min() <= frame.max() <= 1 for frame in whole)
        part = list(degraded(clip[3:5], seed, first=3))
        assert all(torch.equal(*pair) for pair in zip(part, whole[3:5], strict=True))
    assert next(iter(degraded(clip, 1, factor=1))).shape == (3, 64, 64)
    with pytest.raises(ValueError, match="frames: expected 8x8 pixels or more, got 6x6"):
        next(degraded(torch.zeros(1, 3, 6, 6), 0))


def test_degraded_pictures_still_show_the_scene() -> None:
    clip = world(2, fps=8, background="grey")
    small = torch.nn.functional.interpolate(clip, (16, 16), mode="area")
    errors = [float((next(degraded(clip, seed)) - small[0]).abs().mean()) for seed in range(20)]
    assert max(errors) < 0.25
    assert sum(errors) / len(errors) > 0.01


def test_parameters_stay_in_their_ranges_and_walk_in_small_steps() -> None:
    for seed in range(8):
        clip = list(islice(by_frame(seed), 40))
        for before, after in zip(clip, clip[1:], strict=False):
            for name, ranges in (("first", FIRST), ("second", SECOND)):
                one, other = asdict(getattr(before, name)), asdict(getattr(after, name))
                assert {key for key in one if one[key] != other[key]} <= set(WALKING)
                assert abs(one["sigma_x"] - other["sigma_x"]) <= ranges.sigma.step + 1e-9
                assert abs(one["jpeg"] - other["jpeg"]) <= ranges.jpeg.step + 1e-9
                assert ranges.sigma.low <= other["sigma_x"] <= ranges.sigma.high
                assert ranges.jpeg.low <= other["jpeg"] <= ranges.jpeg.high
        assert clip[0].first.sigma_x != clip[-1].first.sigma_x


def test_every_kernel_is_drawn_and_sums_to_one() -> None:
    stages = [drawn_for_clip(seed).first for seed in range(300)]
    assert {stage.kernel for stage in stages} == {*KINDS, "sinc"}
    share = sum(stage.kernel == "sinc" for stage in stages) / len(stages)
    assert 0.05 < share < 0.16
    for stage in stages[:60]:
        kernel = kernel_of(stage)
        assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
        assert kernel.shape[0] in (stage.side, 21)
