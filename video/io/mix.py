"""Audio channels: their order, and downmixing to stereo."""

from math import sqrt

import torch
from torch import Tensor

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Number of channels -> FFmpeg's name of their order: left, right, centre, low, back, side (SMPTE)."""

HALF = sqrt(0.5)
LEFT: dict[int, tuple[float, ...]] = {
    3: (1, 0, HALF),
    4: (1, 0, HALF, 0),
    5: (1, 0, HALF, HALF, 0),
    6: (1, 0, HALF, 0, HALF, 0),
    7: (1, 0, HALF, 0, 0.5, HALF, 0),
    8: (1, 0, HALF, 0, HALF, 0, HALF, 0),
}
"""Weight of each channel in the left one (ITU-R BS.775-3, annex 4; the low channel is left out, as there)."""
RIGHT: dict[int, tuple[float, ...]] = {
    3: (0, 1, HALF),
    4: (0, 1, 0, HALF),
    5: (0, 1, HALF, 0, HALF),
    6: (0, 1, HALF, 0, 0, HALF),
    7: (0, 1, HALF, 0, 0.5, 0, HALF),
    8: (0, 1, HALF, 0, 0, HALF, 0, HALF),
}


def stereo(wave: Tensor) -> Tensor:
    """Mixes sound `(channels, samples)` of up to eight channels down to one or two, scaled down where the sum exceeds 1.

    Raises ValueError for more channels, which have no standard order.
    """
    channels = len(wave)
    if channels <= 2:
        return wave
    if channels not in LEFT:
        raise ValueError(f"sound: expected 1 to 8 channels, got {channels}; mix them down first")
    mixed = torch.tensor([LEFT[channels], RIGHT[channels]], dtype=wave.dtype, device=wave.device) @ wave
    loudest = float(mixed.abs().max()) if mixed.numel() else 0.0
    return mixed / loudest if loudest > 1 else mixed
