"""Fixtures of this folder."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def vision(tiny: Any, tmp_path: Path) -> Any:
    return tiny.vision(tmp_path)


@pytest.fixture
def motion(tiny: Any, base: Any, tmp_path: Path) -> Any:
    return tiny.own_file(base, tmp_path / "m.safetensors", seed=1)
