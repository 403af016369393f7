"""Fixtures of this folder."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def comfyui() -> Any:
    from zoetrope.hosts.comfyui.motion import apply as comfyui

    return comfyui


@pytest.fixture
def motion(tmp_path: Path, tiny: Any, base: Any) -> Any:
    return tiny.own_file(base, tmp_path / "one.safetensors", seed=1)
