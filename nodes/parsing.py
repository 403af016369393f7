"""Parsing of text inputs: numbers per frame, strengths per level of the UNet."""

import math
import re

import torch
from einops import rearrange
from torch import Tensor

from ..models.layers.strength import ByFrame, Strength, picture_mask
from ..sampling import timeline
from ..sampling.timeline import is_list

MOST_NUMBERS = 4096
MOST_FRAMES = 1_000_000
LARGEST = 1000.0
"""Largest absolute strength by frame."""


LEVEL = re.compile(r"(time|input|mid|(?:down|up)(?:\.\d+){0,2})")


def strength_of(name: str, number: float, per_frame: str, mask: Tensor | None) -> Strength:
    """Product of a number, numbers by frame (may be empty) and a mask `f h w` (or None).

    Numbers by frame are a timeline, `0: 1 / 48: 0.5 ~12`, or a plain list, which is spread over the clip. Raises ValueError for
    text that cannot be parsed, and for a list and a mask of different lengths.
    """
    factor: Strength = number
    if per_frame.strip():
        factor = factor * _per_frame(name, per_frame)
    if mask is None:
        return factor
    mask = picture_mask(mask)
    if isinstance(factor, Tensor) and factor.shape[0] != mask.shape[0] and 1 not in (factor.shape[0], mask.shape[0]):
        raise ValueError(
            f"{name}: the list has {factor.shape[0]} values and the mask {mask.shape[0]} pictures; give both the same "
            "number, or only one of them"
        )
    return factor * mask.to(torch.float32)


def _per_frame(name: str, text: str) -> Tensor:
    if is_list(text):
        return rearrange(torch.tensor(read_list(name, text)), "f -> f 1 1")
    numbers = timeline.read_numbers(text, name, -LARGEST, LARGEST)
    if numbers.changing > MOST_FRAMES:
        raise ValueError(f"{name}: expected frames below {MOST_FRAMES}, got {numbers.changing - 1}")
    return ByFrame.of(numbers.at(frame) for frame in range(numbers.changing))


def read_list(name: str, text: str) -> list[float]:
    """`0, 0.5, 1` -> numbers. Raises ValueError with the input and the part that is not a number."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > MOST_NUMBERS:
        raise ValueError(f"{name}: expected at most {MOST_NUMBERS} numbers, got {len(parts)}")
    return [_number(name, part, index) for index, part in enumerate(parts, start=1)]


def read_frames(text: str, name: str) -> tuple[int, ...]:
    """`0, 48, 95` -> frame numbers. Raises ValueError for anything else, and for numbers below 0."""
    try:
        frames = tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{name}: expected whole numbers separated by commas (0, 48, 95), got {text!r}") from None
    if not 0 <= min(frames) <= max(frames) < MOST_FRAMES:
        raise ValueError(f"{name}: expected 0 to {MOST_FRAMES - 1}, got {text!r}")
    return frames


def read_levels(text: str) -> dict[str, float]:
    """`down: 0.5, mid: 0, up.3: 1` -> prefix of sites -> factor.

    Sites (models/backbones/unet.py): `time`, `input`, `mid`, `down`, `up`, `down.0` (the widest level), `up.3.2` (a block).
    """
    levels: dict[str, float] = {}
    for index, part in enumerate(text.split(",") if text.strip() else (), start=1):
        name, colon, value = (piece.strip() for piece in part.partition(":"))
        if not colon or not LEVEL.fullmatch(name):
            raise ValueError(
                f"levels: part {index} is {part.strip()!r}; expected a place and a number such as 'down: 0.5', where places "
                "are time, input, mid, down, up, down.0, up.3, up.3.2, ..."
            )
        if name in levels:
            raise ValueError(f"levels: {name} is given twice")
        levels[name] = _number("levels", value, index)
    return levels


def _number(name: str, text: str, index: int) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"{name}: part {index} is {text!r}, expected a number") from None
    if not math.isfinite(value):
        raise ValueError(f"{name}: part {index} is {text!r}, expected a finite number")
    return value
