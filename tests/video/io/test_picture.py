"""Picture files as frames."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from zoetrope.video.io.picture import picture_of


def test_a_picture_is_cut_to_its_middle_square_upright_and_on_black(tmp_path: Path) -> None:
    wide = np.zeros((40, 120, 4), np.uint8)
    wide[:, 40:80] = (255, 0, 0, 255)
    wide[:, :40] = (0, 255, 0, 255)
    Image.fromarray(wide).save(tmp_path / "w.png")
    frame = picture_of(tmp_path / "w.png", 40)
    assert frame.shape == (3, 40, 40)
    assert torch.allclose(frame[:, 5:-5, 5:-5].mean((1, 2)), torch.tensor([1.0, 0.0, 0.0]), atol=0.02)
    clear = np.full((8, 8, 4), (255, 255, 255, 0), np.uint8)
    Image.fromarray(clear).save(tmp_path / "c.png")
    assert float(picture_of(tmp_path / "c.png", 8).max()) == 0
    turned = Image.new("RGB", (20, 10), "white")
    turned.paste("black", (0, 0, 10, 10))
    exif = turned.getexif()
    exif[0x0112] = 6  # a phone held upright: the left side is up
    turned.save(tmp_path / "t.jpg", exif=exif, quality=95)
    upright = picture_of(tmp_path / "t.jpg", 10)
    assert float(upright[:, :3].mean()) < 0.1 < 0.9 < float(upright[:, -3:].mean())


def test_what_is_no_picture_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "letter.png").write_text("dear all")
    with pytest.raises(ValueError, match=r"letter.png: expected a picture \(PNG, JPEG, WebP\), but it cannot be read"):
        picture_of(tmp_path / "letter.png", 8)
    with pytest.raises(OSError, match="none.png"):
        picture_of(tmp_path / "none.png", 8)
