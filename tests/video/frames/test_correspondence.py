"""Cells of latents that show the same in two frames of a video."""

import gc

import pytest
import torch
from layers import noise
from torch import Tensor
from torch.nn import functional as F

pytest.importorskip("cv2")

from zoetrope.video.frames import correspondence
from zoetrope.video.frames.correspondence import SourceVideo


def moving(frames: int, size: int = 128) -> Tensor:
    """A soft pattern that moves right by one latent cell (8 pixels) per frame: `(f, h, w, 3)`."""
    wide = F.interpolate(noise(1, 3, 8, 16), (size, 2 * size), mode="bicubic")[0].sigmoid()
    return torch.stack([wide[:, :, size - 8 * n : 2 * size - 8 * n].movedim(0, -1) for n in range(frames)])


def test_cells_follow_what_moves_and_what_enters_is_not_trusted() -> None:
    source = SourceVideo(moving(3))
    cells, trust = source.cells(2, 0, (16, 16))
    numbers = torch.arange(256).reshape(16, 16)
    assert cells.dtype == torch.int32
    assert (cells[4:12, 6:14] == numbers[4:12, 4:12]).float().mean() > 0.9
    assert trust[4:12, 6:14].mean() > 0.8
    assert trust[:, 0].max() == 0.0
    same, whole = source.cells(1, 1, (16, 16))
    assert torch.equal(same, numbers.int())
    assert bool((whole == 1).all())


def test_pairs_are_kept_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(correspondence, "MOST_PAIRS", 2)
    source = SourceVideo(moving(4, 64))
    first = source.cells(1, 0, (8, 8))
    assert source.cells(1, 0, (8, 8)) is first
    source.cells(2, 0, (8, 8))
    source.cells(3, 0, (8, 8))
    assert source.cells(1, 0, (8, 8)) is not first
    assert set(vars(source)) == {"images"}  # what decides, for digests
    kept = len(correspondence._PAIRS)
    del source
    gc.collect()
    assert len(correspondence._PAIRS) < kept
