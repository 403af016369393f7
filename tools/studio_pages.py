"""Contact sheets and pictures of help pages, for `studio.py`."""

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from zoetrope.video.quality.sheet import contact_sheet

ROOT = Path(__file__).parents[1]
WIDTH = 760


def spread(clip: Tensor, count: int) -> Tensor:
    """Evenly spaced frames of a clip."""
    return clip[torch.linspace(0, len(clip) - 1, count).round().long()]


def sheet(rows: Sequence[Tensor], count: int = 8, side: int = 94) -> Image.Image:
    """Rows of frames, all made of one size."""
    return contact_sheet(
        [torch.nn.functional.interpolate(spread(row, count), size=(side, side), mode="nearest") for row in rows]
    )


def moving(path: Path, clip: Tensor, fps: float, side: int = 192) -> None:
    """Writes a clip as a looping WebP."""
    large = torch.nn.functional.interpolate(clip, size=(side, side), mode="nearest")
    frames = [contact_sheet([one[None]], gap=0) for one in large]
    path.parent.mkdir(exist_ok=True)
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=round(1000 / fps), loop=0, quality=60, method=6)


def put(image: Image.Image, *paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(exist_ok=True)
        image.convert("RGB").save(path, quality=80, optimize=True)


def help_page(node: str) -> Path:
    return ROOT / "web" / "docs" / "pictures" / f"Zoetrope{node}.jpg"


def fitted(image: Image.Image, width: int = WIDTH) -> Image.Image:
    return (
        image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        if image.width > width
        else image
    )
