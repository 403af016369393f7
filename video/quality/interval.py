"""Confidence intervals of differences between two clips, frame by frame."""

from collections.abc import Sequence

import numpy as np

BLOCK, TIMES = 8, 2000
"""Frames that are drawn together, because neighbours are alike; number of draws."""


def paired_interval(values: Sequence[float], others: Sequence[float], share: float = 0.95) -> tuple[float, float, float]:
    """(Mean of values - others, lower end, upper end) of a confidence interval, by a moving-block bootstrap over frames.

    Raises ValueError for lengths that differ, and for fewer than two blocks.
    """
    if len(values) != len(others):
        raise ValueError(f"expected two clips of one length, got {len(values)} and {len(others)} values")
    if len(values) < 2 * BLOCK:
        raise ValueError(f"an interval needs {2 * BLOCK} values or more, got {len(values)}")
    gaps = np.asarray(values, float) - np.asarray(others, float)
    chance = np.random.default_rng(0)  # the same clips give the same interval
    starts = chance.integers(0, len(gaps) - BLOCK + 1, (TIMES, -(-len(gaps) // BLOCK)))
    drawn = gaps[starts[..., None] + np.arange(BLOCK)].reshape(TIMES, -1)[:, : len(gaps)].mean(1)
    low, high = np.quantile(drawn, [(1 - share) / 2, (1 + share) / 2])
    return float(gaps.mean()), float(low), float(high)
