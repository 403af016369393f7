"""Exact frame rates as fractions."""

import math
from fractions import Fraction

FASTEST = 1000
"""Highest frame rate; a higher one in a file is a time base."""


def exact_rate(fps: float | Fraction) -> Fraction:
    """The exact frame rate of a rounded one: 23.976 and 23.98 are 24000/1001, 29.97 is 30000/1001, 12.5 is 25/2.

    Raises ValueError for a number out of range or NaN.
    """
    if not math.isfinite(fps) or fps <= 0 or fps > FASTEST:
        raise ValueError(f"fps: expected more than 0 and at most {FASTEST}, got {float(fps):g}")
    if isinstance(fps, Fraction):
        return fps.limit_denominator(100_000)
    whole = round(fps * 1.001)
    film = Fraction(whole * 1000, 1001)
    if whole > 5 and fps != round(fps) and abs(fps - film) <= 0.005:  # rates of film and television have two decimals
        return film
    return Fraction(fps).limit_denominator(1001) or Fraction(fps).limit_denominator(1_000_000)
