"""Two hundred mangled files: each is refused as a ValueError that names the file and says what is wrong; no code runs."""

import random
from pathlib import Path

import pytest
from mangled import MANGLES, Mangle, saved, sound
from torch import Tensor
from zoetrope.models.loading import load_motion


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return sound()


def test_the_file_that_is_mangled_is_sound(tmp_path: Path, tensors: dict[str, Tensor]) -> None:
    for seed in (0, 1, 2, 3):
        assert load_motion(saved(tmp_path / "m", tensors, random.Random(seed)))[1].family == "animatediff"


@pytest.mark.parametrize("mangle", MANGLES, ids=lambda mangle: mangle.__name__)
def test_each_kind_of_damage_is_refused_by_name(tmp_path: Path, tensors: dict[str, Tensor], mangle: Mangle) -> None:
    refused(tmp_path, tensors, mangle, 0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(19))
@pytest.mark.parametrize("mangle", MANGLES, ids=lambda mangle: mangle.__name__)
def test_two_hundred_of_them(tmp_path: Path, tensors: dict[str, Tensor], mangle: Mangle, seed: int) -> None:
    refused(tmp_path, tensors, mangle, seed + 1)


def refused(folder: Path, tensors: dict[str, Tensor], mangle: Mangle, seed: int) -> None:
    target = mangle(folder / "mangled", tensors, random.Random(seed))
    with pytest.raises(ValueError, match=r"^mangled\.\w+: ") as error:
        load_motion(target)
    assert len(str(error.value)) < 1000
    assert not (folder / "ran").exists()
