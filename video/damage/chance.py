"""Random numbers by seed, kind of damage and frame number."""

from zlib import crc32

import numpy as np

OFFSET = 1 << 31
"""Added to frame numbers, which may be negative; seeds may not."""


def drawn(seed: int, kind: str, *numbers: int) -> np.random.Generator:
    """Generator for one kind of damage and one frame or object: equal arguments give equal damage."""
    return np.random.default_rng([seed, crc32(kind.encode()), *(OFFSET + number for number in numbers)])


def lognormal(random: np.random.Generator, median: float, spread: float) -> float:
    return float(median * np.exp(random.normal(0, spread)))
