"""The few-step stage: one training step, its levels, and that a consistent model has no error."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import STAGES
from torch import Tensor
from zoetrope.sampling.live import live_sigmas
from zoetrope.sampling.schedule import LINEAR
from zoetrope.training.demo.config import FewStepRun, read_config
from zoetrope.training.demo.consistency import LEVELS, Networks, consistency_error, few_step_loss, nearest_level
from zoetrope.training.demo.denoising import Batch
from zoetrope.training.demo.library import LENGTH, STARTS, Library, scene_of
from zoetrope.training.demo.networks import new_motion, new_text, new_unet
from zoetrope.training.loop import generators


@pytest.fixture
def run() -> FewStepRun:
    read = read_config(STAGES / "few_steps.json")
    assert isinstance(read, FewStepRun)
    return replace(read, batch=1, frames=(4,), image_share=0.0)


def test_levels_are_those_of_a_live_shot() -> None:
    torch.testing.assert_close(LEVELS.flip(0), live_sigmas(LINEAR, 1.0, 50)[:-1])
    assert nearest_level(torch.tensor([0, 19, 28, 30, 999])).tolist() == [0, 0, 0, 1, 49]


def test_a_step_trains_unet_text_and_motion_and_leaves_the_teacher_alone(run: FewStepRun) -> None:
    torch.manual_seed(0)
    scenes = tuple(scene_of(index) for index in range(2))
    latents = torch.randn(2, LENGTH, 4, 8, 8, generator=torch.Generator().manual_seed(0)).half()
    networks = Networks(new_unet(), new_text(), new_motion())
    modules = (networks.unet, networks.text, networks.motion)
    for module in modules:
        for parameter in module.parameters():  # zero-initialised layers would pass no gradient on
            torch.nn.init.normal_(parameter, std=0.02)
    optimiser = torch.optim.SGD([parameter for module in modules for parameter in module.parameters()], lr=0.05)
    loss = few_step_loss(run, Library(scenes, latents, latents[:, :STARTS]), networks)
    value, figures = loss(*generators(1, 1))
    assert set(figures) == {"clip"}
    value.backward()
    assert all(any(p.grad is not None and p.grad.abs().sum() > 0 for p in module.parameters()) for module in modules)
    optimiser.step()
    after, _ = loss(*generators(1, 1))
    assert float(after.detach()) != pytest.approx(float(value.detach()), rel=1e-6)


class Perfect(Networks):
    """Knows the clean frames: its path is straight, so that it is consistent at all levels."""

    def __init__(self, clean: Tensor, error: float = 0.0):
        object.__setattr__(self, "known", clean + error)
        object.__setattr__(self, "unet", type("Unet", (), {"device": clean.device}))

    def clean(self, x: Tensor, sigma: Tensor, prompts: Any, frames: int, moving: bool) -> Tensor:
        return self.known  # type: ignore[attr-defined]


def test_a_consistent_student_has_no_error_and_a_wrong_one_is_corrected_at_the_lowest_level(run: FewStepRun) -> None:
    generator = torch.Generator().manual_seed(2)
    clean, noise = (torch.randn(4, 4, 8, 8, generator=generator) for _ in range(2))
    none = torch.zeros(4, dtype=torch.bool)
    batch = Batch(clean, noise, torch.tensor([19, 199, 599, 999]), none, ["a"], 4, none)
    assert float(consistency_error(run, Perfect(clean), Perfect(clean), batch)) == 0
    shifted = float(consistency_error(run, Perfect(clean), Perfect(clean, 0.5), batch))
    assert shifted == pytest.approx(((0.25 + run.huber**2) ** 0.5 - run.huber) / 4)  # one frame of four is at the lowest level


def test_the_shipped_stage_reads_and_names_wrong_fields(tmp_path: Path) -> None:
    text = (STAGES / "few_steps.json").read_text().replace('"huber": 0.01', '"hubert": 0.01')
    (tmp_path / "few.json").write_text(text)
    with pytest.raises(ValueError, match=r"got huber \(missing\), hubert \(unknown\)"):
        read_config(tmp_path / "few.json")
