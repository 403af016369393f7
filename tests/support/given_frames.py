"""Pictures for given frames."""

from typing import Any

from torch import Tensor


def square(tiny: Any, count: int = 1, seed: int = 3) -> Tensor:
    return tiny.picture(count, seed, size=(64, 64))
