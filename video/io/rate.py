"""Frame rates as the fractions that they are."""

import math
from fractions import Fraction

FASTEST = 1000
"""Frames per second; what claims more is a time base that a file gives instead of a rate."""


def exact_rate(fps: float | Fraction) -> Fraction:
    """The frame rate that is meant by a number: 23.976 and 23.98 are 24000/1001, as 29.97 is 30000/1001; 12.5 is 25/2.

    Raises ValueError for what is no rate.
    """
    if not math.isfinite(fps) or fps <= 0 or fps > FASTEST:
        raise ValueError(f"fps: expected more than 0 and at most {FASTEST}, got {float(fps):g}")
    if isinstance(fps, Fraction):
        return fps.limit_denominator(100_000)
    whole = round(fps * 1.001)
    film = Fraction(whole * 1000, 1001)
    if whole > 5 and fps != round(fps) and abs(fps - film) <= 0.005:  # two decimals, as rates of film and television are typed
        return film
    return Fraction(fps).limit_denominator(1001) or Fraction(fps).limit_denominator(1_000_000)
