"""Shots of a tiny model in the host."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from zoetrope.shots.sinks import DecodedFrame

WINDOW = 4


class Audience:
    def __init__(self, tell: Any = None):
        self.tell, self.steps = tell, 0

    def opening(self, folder: str, resumed: int, reason: Sequence[str]) -> None:
        self.opened = (folder, resumed, list(reason))

    def starting(self, step: int, steps: int) -> None:
        self.steps += 1
        assert self.steps == step <= steps

    def progress(self, frame: int, done: int, total: int, decoded: DecodedFrame | None, seconds_left: float) -> None:
        if self.tell:
            self.tell(done, total, decoded, seconds_left)


def interrupting(at: int) -> Any:
    """A `tell` that interrupts after this number of latents."""
    import comfy.model_management as management

    def tell(done: int, total: int, picture: Any, left: float) -> None:
        if done == at:
            raise management.InterruptProcessingException

    return tell


def guider_for(
    tiny: Any, tmp_path: Path, prediction: str = "EPS", scale: float = 0.05, cfg: float = 3.0, hint: float = 0.0,
    strength: float = 1.0,
) -> Any:  # fmt: skip
    """Everything new, as after a restart: the model, its motion, LoRA, and a ControlNet where its picture has a shade."""
    from zoetrope.hosts.comfyui.sampling.guider import guider_of

    model = tiny.model(prediction=prediction)
    motion = tiny.own_file(model, tmp_path / "motion.safetensors", seed=1)
    patched = tiny.applied(model, motion, strength)
    key = next(k for k in model.model.state_dict() if "attn1.to_q.weight" in k)
    patched.add_patches({key: ("diff", (torch.full_like(model.model.state_dict()[key], scale),))})
    positive = tiny.text()
    if hint:
        control = tiny.controlnet().set_cond_hint(torch.full((1, 3, 64, 64), hint), 0.7)
        positive = tiny.text(control=control, control_apply_to_uncond=True)
    return guider_of(patched, positive, tiny.text(seed=2), cfg)


def all_latents(shot: Any, frames: int) -> Tensor:
    from zoetrope.shots.journal import Journal

    journal = Journal.open(shot.video.parent)
    state = journal.state()
    assert state is not None
    full = [journal.latents(number) for number in range(max(0, state.frame) // journal.sizes.segment)]
    return torch.cat([*full, state.pending])[:frames]
