"""A thousand changed LoRA files and a thousand changed checkpoints: each loads, or is refused by name, in true words."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mangled
import mutations
import pytest
import small_files
from torch import Tensor
from zoetrope.models.motion.families.animatediff.lora import load_lora
from zoetrope.models.motion.loading import load_motion

SORTS: dict[str, tuple[Callable[[], dict[str, Tensor]], Callable[[Path], Any], str]] = {
    "lora": (small_files.lora, load_lora, "load it with Apply Motion LoRA"),
    "checkpoint": (mangled.sound, load_motion, "load it with Load Motion Module"),
}
AGAIN = "download it again"


@pytest.mark.parametrize("sort", SORTS)
def test_some_changes_are_refused_in_true_words(tmp_path: Path, sort: str) -> None:
    changed(tmp_path, sort, range(30))


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
@pytest.mark.parametrize("sort", SORTS)
def test_a_thousand_of_them(tmp_path: Path, sort: str, part: int) -> None:
    changed(tmp_path, sort, range(1000 + 100 * part, 1100 + 100 * part))


def changed(folder: Path, sort: str, seeds: range) -> None:
    make, load, itself = SORTS[sort]
    sound, loaded = make(), 0
    for seed in seeds:
        rng = random.Random(seed)
        path, damaged = mutations.written(folder / "changed", dict(sound), rng)
        diagnose = ""
        try:
            loaded += bool(load(path))
        except ValueError as error:  # and nothing else
            diagnose = str(error)
        path.unlink()
        assert not diagnose or diagnose.startswith("changed."), (seed, diagnose)
        assert itself not in diagnose, (seed, diagnose)
        assert AGAIN not in diagnose or damaged, (seed, diagnose)
        assert len(diagnose) < 1500, (seed, diagnose)
    assert 0 < loaded < len(seeds)
