"""Windows, scenes and paths of the restoration; masks and filling."""

import pytest
import torch
from old_films import textured
from zoetrope.video.restore.filling import between, interpolated
from zoetrope.video.restore.masks import closed, connected, grown, long_lines, without_single_pixels
from zoetrope.video.restore.stream import FilmFrame, Path, around, motion_between, registered, scenes


def frames(clip: torch.Tensor) -> list[FilmFrame]:
    return [FilmFrame(number, picture) for number, picture in enumerate(clip)]


def test_every_frame_comes_once_with_those_around_it() -> None:
    for length in (0, 1, 2, 5, 9):
        seen = [(window[at], list(window)) for window, at in around(iter(range(length)), 2, 3)]  # type: ignore[arg-type]
        assert [item for item, _ in seen] == list(range(length))
        for item, window in seen:
            assert window == list(range(max(0, item - 2), min(length, item + 4)))


def test_a_cut_parts_scenes_and_a_flash_does_not() -> None:
    clip = textured(8, (48, 64), seed=1)
    other = 1 - 0.5 * textured(5, (48, 64), seed=2)
    flashed = clip.clone()
    flashed[3] = 1.0
    lengths = [len(list(scene)) for scene in scenes(frames(torch.cat([flashed, other])), 0.3)]
    assert lengths == [8, 5]
    assert [len(list(scene)) for scene in scenes(frames(torch.cat([clip, other])), 0.0)] == [13]


def test_motion_between_frames_of_a_window_is_the_sum_of_the_steps() -> None:
    window = list(registered(frames(textured(6, speed=(1.5, -0.5)))))
    for here, there in ((0, 5), (4, 1), (2, 2)):
        expected = torch.tensor([-1.5, 0.5]) * (there - here)
        assert (motion_between(window, here, there).shift - expected).abs().max() < 0.15


def test_a_path_keeps_its_trend_and_parts_with_its_jitter() -> None:
    jitter = torch.randn(17, generator=torch.Generator().manual_seed(0)).double() * 0.5
    path, before = Path(), torch.zeros(1)
    for number in range(17):
        position = torch.tensor([2.0 * number]) + jitter[number]
        path.add(position - before)
        before = position
    apart, spread = path.residuals(8)
    assert abs(float(apart) - float(jitter[8] - jitter.mean())) < 0.25
    assert 0.2 < float(spread) < 0.8
    steady = Path()
    for _ in range(9):
        steady.add(torch.tensor([2.0]))
    assert float(steady.residuals(4)[0].abs()) < 1e-9
    steady.forget(3)
    assert len(steady) == 3
    assert float(steady.residuals(0)[1]) == pytest.approx(0, abs=1e-9)


def test_masks() -> None:
    mask = torch.zeros(40, 20, dtype=torch.bool)
    mask[2:30, 5] = True
    mask[12:15, 5] = False
    mask[35, 15] = True
    assert long_lines(closed(mask, 2), 25)[2:30, 5].all()
    assert not long_lines(mask, 25).any()
    assert without_single_pixels(mask)[35, 15] == False  # noqa: E712
    seeds = torch.zeros_like(mask)
    seeds[3, 5] = True
    assert connected(seeds, mask).sum() == 10
    assert grown(seeds, 1, 2).sum() == 15
    slanted = torch.zeros(40, 40, dtype=torch.bool)
    slanted[torch.arange(40), torch.arange(40) // 2] = True
    assert long_lines(slanted, 40).sum() == 40


def test_gaps_are_interpolated_along_their_shorter_side() -> None:
    ramp = torch.linspace(0, 1, 32).expand(3, 24, 32).clone()
    mask = torch.zeros(24, 32, dtype=torch.bool)
    mask[:, 14:17] = True
    spoilt = torch.where(mask, torch.ones(()), ramp)
    assert torch.allclose(interpolated(spoilt, mask), ramp, atol=1e-2)
    assert torch.equal(interpolated(ramp, mask & False), ramp)
    assert interpolated(spoilt, mask | True).isfinite().all()


def test_dust_is_filled_from_both_sides_where_they_agree() -> None:
    now, before, after = torch.zeros(3, 3, 9, 9).unbind(0)
    now = now.clone()
    now[:, 4, 4] = 1.0
    mask = torch.zeros(9, 9, dtype=torch.bool)
    mask[4, 4] = True
    assert between(now, before + 0.2, after + 0.3, mask)[0, 4, 4] == pytest.approx(0.25)
    assert between(now, before + 0.9, after + 0.3, mask)[0, 4, 4] == pytest.approx(0.3), "the median with what is around"
    assert torch.equal(between(now, before, after, mask & False), now)
