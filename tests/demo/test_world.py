"""The world's law and the detector that judges by it: at least 99 % right on ground truth, and on nothing by accident."""

import pytest
import torch
from zoetrope.demo.detector import detect
from zoetrope.demo.world import SHAPES, Scene, centre, draw, film
from zoetrope.video.quality.sheet import contact_sheet


def scene(**fixed: object) -> Scene:
    return draw(torch.Generator().manual_seed(0), **fixed)


def test_the_detector_scores_at_least_99_percent_on_ground_truth() -> None:
    generator = torch.Generator().manual_seed(1)
    right = dict.fromkeys(("colour", "shape", "motion"), 0)
    frames_right, clips = 0, 200
    for _ in range(clips):
        truth = draw(generator)
        seen = detect(film(truth, 16, 64))
        for kind in right:
            right[kind] += getattr(seen, kind) == getattr(truth, kind)
        frames_right += sum(s == truth.shape and c == truth.colour for s, c in zip(seen.shapes, seen.colours, strict=True))
        assert seen.drift < 0.01
        assert seen.jerk < 0.01
    assert min(right.values()) >= 0.99 * clips, right
    assert frames_right >= 0.99 * clips * 16


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_track_is_where_the_shape_is(size: int) -> None:
    truth = scene(motion="moving up", shape="circle")
    away = (detect(film(truth, 16, size)).track - centre(truth, torch.arange(16) / 8) + 0.5) % 1 - 0.5
    assert away.norm(dim=-1).max() < 0.03


def test_time_goes_on_for_ever_and_frame_rate_only_samples_it() -> None:
    truth = scene(motion="moving right")
    assert torch.equal(film(truth, 32, 64)[20:], film(truth, 12, 64, first=20))
    assert torch.allclose(film(truth, 8, 64, fps=4), film(truth, 16, 64, fps=8)[::2])
    lap = film(Scene(**{**truth.__dict__, "speed": 0.5}), 17, 64)  # half a picture a second: round in 16 frames
    assert torch.allclose(lap[0], lap[16], atol=1e-4)


def test_the_detector_is_not_fooled() -> None:
    noise = torch.rand(16, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    assert detect(noise).shape not in SHAPES or detect(noise).jerk > 0.01
    assert detect(torch.full((4, 3, 64, 64), 0.04)).colour == "none"
    jumps = torch.cat([film(scene(motion="standing still", x=x, y=y), 1, 64) for x, y in torch.rand(16, 2).tolist()])
    assert detect(jumps).motion == "jumping"
    clip = film(scene(motion="moving left"), 16, 64)
    assert detect(clip.flip(0)).motion == "moving right"
    assert detect(clip[:1].expand(16, -1, -1, -1)).motion == "standing still"
    shuffled = clip[torch.randperm(16, generator=torch.Generator().manual_seed(0))]
    assert detect(shuffled).jerk > 10 * detect(clip).jerk
    fading = clip * torch.linspace(1, 0.6, 16)[:, None, None, None]
    assert detect(fading).drift > 0.1


def test_a_contact_sheet_has_a_row_per_clip_and_a_column_per_frame() -> None:
    clip = film(scene(), 5, 32)
    assert contact_sheet([clip, clip], gap=2, scale=2).size == (5 * 66, 2 * 66)


def test_the_detector_counts_objects() -> None:
    fixed = {"motion": "standing still", "background": "black", "shape": "circle", "size": 0.15}
    one, other = (draw(torch.Generator(), colour=colour, x=at, y=at, **fixed) for colour, at in (("red", 0.0), ("green", 0.5)))
    both = film(one, 2, 64).maximum(film(other, 2, 64))
    assert detect(film(one, 2, 64)).objects == (1, 1)  # across all four edges
    assert detect(both).objects == (2, 2)
    assert detect(torch.full((2, 3, 64, 64), 0.36)).objects == (0, 0)
    both[:, :, 2, 2] = torch.tensor([0.9, 0.1, 0.1])
    assert detect(both).objects == (2, 2), "a speck is none"
