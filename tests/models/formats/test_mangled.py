"""Two hundred mangled files: each is refused as a ValueError that names the file and says what is wrong; no code runs."""

import random
import re
from pathlib import Path

import pytest
from mangled import MANGLES, Mangle, saved, sound
from torch import Tensor
from zoetrope.models.motion.loading import load_motion

REASONS = {
    "truncated": "truncated", "empty": "the file is empty", "wrong_shape": "wrong shapes|complete network",
    "renamed": "does not have",
    "lacking": "lacks keys", "two_families": "does not have", "not_a_number": "infinite or NaN", "code": "holds code",
    "zip_bomb": "would unpack", "claims_too_much": "at most", "a_header_that_lies": "cannot be read",
}  # fmt: skip
"""What is wrong, in the error's own words: another check that happens to trip over the file will not do."""


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
    assert re.search(REASONS[mangle.__name__], str(error.value))
    assert len(str(error.value)) < 1000
    assert not (folder / "ran").exists()
