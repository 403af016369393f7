"""Tiles of a picture: what comes back is what went in, whatever the sizes."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F
from zoetrope.sampling.tiles import Grid, over_tiles


@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 9), st.integers(0, 4), st.sampled_from([(1, 8), (8, 1), (1, 1)]))
@settings(max_examples=150, deadline=None)
def test_a_network_that_sees_one_cell_is_not_disturbed(
    height: int, width: int, tile: int, overlap: int, scale: tuple[int, int]
) -> None:
    before, after = scale
    picture = torch.rand(2, 3, height * before, width * before)

    def work(x: Tensor, corner: tuple[int, int]) -> Tensor:
        return F.interpolate(x, scale_factor=after, mode="nearest") if after > 1 else F.avg_pool2d(x, before)

    grid = Grid(tile, min(overlap, tile // 2), before, after)
    assert torch.allclose(over_tiles(work, picture, grid), work(picture, (0, 0)), atol=1e-5)


def test_borders_between_tiles_are_ramps() -> None:
    """Tiles that disagree: the result goes from one to the other in small steps."""
    number = iter(range(100))
    out = over_tiles(lambda x, _: torch.full_like(x, float(next(number))), torch.zeros(1, 8, 20), Grid(8, 4, 1, 1))
    assert float(out.diff(dim=-1).abs().max()) < 0.45


def test_tiles_reach_as_far_as_they_say() -> None:
    seen: list[tuple[int, ...]] = []

    def work(x: Tensor, corner: tuple[int, int]) -> Tensor:
        seen.append(tuple(x.shape))
        return x

    over_tiles(work, torch.zeros(5, 3, 20, 20), Grid(8, 2, 1, 1))
    assert set(seen) == {(5, 3, 8, 8)}, "time and channels stay whole"
