"""Fixtures of this folder."""

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture
def dits(tiny: Any) -> Iterator[Any]:
    """The helpers for tiny video transformers (tests/support/tiny_dits.py); needs a host."""
    import tiny_dits

    yield tiny_dits
    tiny.unload()
