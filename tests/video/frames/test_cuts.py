"""Scene cuts."""

import torch
from zoetrope.demo.world import draw, film
from zoetrope.video.frames.cuts import colour_change, is_cut


def clip(seed: int, **fixed: str) -> torch.Tensor:
    return film(draw(torch.Generator().manual_seed(seed), motion="moving right", **fixed), 8, 64, 4)


def test_motion_is_no_cut_and_another_ground_is_one() -> None:
    moving = clip(1, background="black")
    assert max(colour_change(a, b) for a, b in zip(moving, moving[1:], strict=False)) < 0.06
    assert colour_change(moving[-1], clip(2, background="white")[0]) > 0.9
    assert is_cut(moving[-1], clip(2, background="white")[0], 0.3)
    assert not is_cut(moving[-1], clip(2, background="white")[0], 0.0)


def test_a_little_more_light_and_grain_are_no_cut() -> None:
    frame = clip(1, background="grey")[0]
    assert colour_change(frame, frame + 0.04) < 0.3
    assert colour_change(frame, frame + 0.05 * torch.randn(frame.shape, generator=torch.Generator().manual_seed(0))) < 0.3
    assert colour_change(frame, frame) == 0


def test_a_hundred_cuts_are_a_hundred_scenes() -> None:
    from zoetrope.sampling.interpolation import takes

    frames = [torch.full((3, 16, 16), float(n % 2)) for n in range(100)]
    parts = [list(part) for part in takes(frames, lambda a, b: is_cut(a, b, 0.3))]
    assert [len(part) for part in parts] == [1] * 100
