"""Frame rates as the fractions that are meant."""

from fractions import Fraction

import pytest
from zoetrope.video.io.rate import exact_rate


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (23.976, "24000/1001"), (23.98, "24000/1001"), (23.976023976, "24000/1001"),
        (29.97, "30000/1001"), (59.94, "60000/1001"),
        (119.88, "120000/1001"), (47.952, "48000/1001"), (14.985, "15000/1001"), (23.9760239760239 * 4, "96000/1001"),
        (24.0, "24"), (25, "25"), (12.5, "25/2"), (8.0, "8"), (0.1, "1/10"), (25 / 3, "25/3"), (8.333, "8333/1000"),
        (29.5, "59/2"), (1, "1"), (0.0001, "1/10000"), (Fraction(24000, 1001), "24000/1001"), (Fraction(521, 30), "521/30"),
        (17.36, "434/25"),
    ],
)  # fmt: skip
def test_what_is_typed_is_what_is_meant(typed: float, meant: str) -> None:
    assert exact_rate(typed) == Fraction(meant)


@pytest.mark.parametrize("typed", [0, -1, float("nan"), float("inf"), 1e9])
def test_what_is_no_rate_is_refused(typed: float) -> None:
    with pytest.raises(ValueError, match="fps: expected more than 0 and at most 1000, got"):
        exact_rate(typed)
