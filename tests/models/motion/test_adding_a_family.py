"""docs/adding-a-family.md says the truth: its example is taken from the page, added, and loads, maps back and runs."""

import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import golden
import pytest
import torch
from layers import clip_of, motion_from, noise, randomise
from torch import nn
from zoetrope.models.motion import families
from zoetrope.models.motion.module import MotionModule


def test_the_example_on_the_page_is_a_working_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (golden.ROOT / "docs" / "adding-a-family.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, flags=re.S)
    (tmp_path / "toy.py").write_text(example)
    spec = spec_from_file_location("zoetrope.models.motion.families.toy", tmp_path / "toy.py")
    assert spec
    assert spec.loader
    toy = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, toy)
    spec.loader.exec_module(toy)
    monkeypatch.setattr(families, "FAMILIES", (*families.FAMILIES, toy.TOY))

    layers = {site: toy._layer(32, nn) for site in ("down.0.0.out", "up.1.2.out")}
    made = randomise(MotionModule(layers, None)).requires_grad_(False)
    published = toy.TOY.spellings[0].table({}, "").restore(made.state_dict())
    assert families.detect(published) is toy.TOY
    moved = {f"module.{key}": value for key, value in published.items()}
    assert motion_from(moved, "moved.safetensors")[1].family == "toy"
    motion, report = motion_from(published, "toy.safetensors")
    assert (report.family, set(motion.widths)) == ("toy", set(layers))
    x = noise(8, 32, 4, 4)
    assert torch.equal(motion.layer("up.1.2.out")(x, clip_of(4)), layers["up.1.2.out"](x, clip_of(4)))
