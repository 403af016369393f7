"""Fixtures of this folder."""

from pathlib import Path

import pytest
from shot_process import all_latents, picture_hash, take
from torch import Tensor

pytest.importorskip("av")
from stopped_shots import FRAMES


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Tensor, str, Path]:
    """Latents, picture hash and file of a shot that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "shot"
    made = take(folder, FRAMES)
    return all_latents(folder, FRAMES), picture_hash(made.video), made.video
