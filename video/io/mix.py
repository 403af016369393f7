"""Channels of sound: in which order they come, and how many become two."""

from math import sqrt

import torch
from torch import Tensor

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""The order in which so many channels come, as FFmpeg names it: left, right, centre, low, back, side (SMPTE)."""

HALF = sqrt(0.5)
LEFT: dict[int, tuple[float, ...]] = {
    3: (1, 0, HALF),
    4: (1, 0, HALF, 0),
    5: (1, 0, HALF, HALF, 0),
    6: (1, 0, HALF, 0, HALF, 0),
    7: (1, 0, HALF, 0, 0.5, HALF, 0),
    8: (1, 0, HALF, 0, HALF, 0, HALF, 0),
}
"""How much of each channel goes to the left (ITU-R BS.775-3, annex 4; the low channel is left out, as there)."""
RIGHT: dict[int, tuple[float, ...]] = {
    3: (0, 1, HALF),
    4: (0, 1, 0, HALF),
    5: (0, 1, HALF, 0, HALF),
    6: (0, 1, HALF, 0, 0, HALF),
    7: (0, 1, HALF, 0, 0.5, 0, HALF),
    8: (0, 1, HALF, 0, 0, HALF, 0, HALF),
}


def stereo(wave: Tensor) -> Tensor:
    """Sound `(channels, samples)` of up to eight channels as one or two; made quieter as a whole where the sum is too loud.

    Raises ValueError for more channels, which have no order that everybody means.
    """
    channels = len(wave)
    if channels <= 2:
        return wave
    if channels not in LEFT:
        raise ValueError(f"sound: expected 1 to 8 channels, got {channels}; mix them down first")
    mixed = torch.tensor([LEFT[channels], RIGHT[channels]], dtype=wave.dtype, device=wave.device) @ wave
    loudest = float(mixed.abs().max()) if mixed.numel() else 0.0
    return mixed / loudest if loudest > 1 else mixed
