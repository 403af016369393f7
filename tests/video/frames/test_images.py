"""IMAGE inputs that other packs hand over."""

import pytest
import torch
from zoetrope.video.frames.images import as_images


def test_what_is_harmless_is_taken() -> None:
    pictures = torch.rand(2, 4, 5, 3)
    assert as_images(pictures).data_ptr() == pictures.data_ptr(), "nothing is copied"
    grey = as_images(pictures[..., :1])
    assert grey.shape == (2, 4, 5, 3)
    assert all(torch.equal(grey[..., n], pictures[..., 0]) for n in range(3))
    assert as_images(torch.rand(2, 4, 5, 4)).shape == (2, 4, 5, 4)
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    assert torch.equal(as_images(levels).flatten(), torch.tensor([0, 0.2, 1]))
    for kind in (torch.float16, torch.bfloat16, torch.float64):
        assert as_images(pictures.to(kind)).dtype == torch.float32


@pytest.mark.parametrize(
    ("pictures", "words"),
    [
        (torch.rand(4, 5, 3), r"got \(4, 5, 3\): an axis is missing"),
        (torch.rand(2, 3, 4, 5), r"got \(2, 3, 4, 5\): channels come last"),
        (torch.rand(2, 6, 5, 2), r"got \(2, 6, 5, 2\); connect an IMAGE"),
        (torch.rand(1, 2, 4, 5, 3), r"got \(1, 2, 4, 5, 3\); connect an IMAGE"),
        (torch.rand(0, 4, 5, 3), "expected one frame or more, got none"),
        (torch.rand(2, 0, 5, 3), "it has no pixels"),
        (torch.zeros(2, 4, 5, 3, dtype=torch.int64), "of floats in .0, 1., got int64"),
        (torch.zeros(2, 4, 5, 3, dtype=torch.bool), "got bool"),
    ],
)
def test_what_is_not_is_refused_by_name(pictures: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=f"^reference: .*{words}"):
        as_images(pictures, "reference")
