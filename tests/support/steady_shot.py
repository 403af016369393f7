"""A shot that every machine and every version of the pack begins alike: weights, prompts and pictures are exact numbers.

`tests/shots/data/begun_by_0_1` was filmed of this scene by the code of 0.1 (commit 6429cfb, ComfyUI 0.3.64 and 0.25.0 alike).
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn


def exact(*shape: int) -> Tensor:
    """Numbers in [-1, 1) that no processor computes differently."""
    count = torch.Size(shape).numel()
    return ((torch.arange(count) * 7919 % 257) / 128 - 1).reshape(shape)


@torch.no_grad()
def with_exact_weights(network: nn.Module) -> None:
    for name, weight in network.state_dict().items():
        if weight.is_floating_point():
            shrink = 2.0 ** -max(1, weight[0].numel().bit_length() // 2 + 1) if weight.ndim > 1 else 0.125
            weight.copy_(exact(*weight.shape) * shrink + float("norm" in name and name.endswith("weight")))


class Words:
    """A CLIP whose tokens are exact numbers."""

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens_scheduled(self, tokens: str) -> list[Any]:
        return [[exact(1, 7, 16) * (1 + len(tokens) / 64), {"pooled_output": None}]]


def steady_shot(rooms: Any, tiny: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """(scene, order) with a motion module, an image prompt by frame, a given first frame, a timeline and strength by frame.

    rooms   the pack's modules by their subject: image_prompt, frame_guide, timeline, shot, queue, cues; and `guider_of`
    """
    monkeypatch.setattr(rooms.image_prompt, "encode", lambda *_: (exact(1, 1, 4, 16), exact(1, 1, 4, 16) / 2))
    monkeypatch.setattr(rooms.frame_guide, "encode_pictures", lambda *_: exact(1, 4, 8, 8))
    model = tiny.model()
    motion = tiny.own_file(model, folder / "motion.safetensors", seed=1)
    projector = tiny.projector(model)
    for network in (model.model.diffusion_model, motion.patcher.model, projector.patcher.model, projector.keys.model):
        with_exact_weights(network)
    picture = torch.full((1, 64, 64, 3), 0.5)
    strength = rooms.cues.read_numbers("0: 1 / 12: 0.5 ~4", "strength", 0, 2)
    patched = tiny.applied(model, motion, 0.875)
    patched = rooms.image_prompt.apply_image_prompt(
        patched, projector, None, picture, rooms.image_prompt.ImagePromptSettings(strength=0.5, by_frame=strength)
    )
    patched = rooms.frame_guide.apply_guide(
        patched, motion, tiny.Vae(), torch.zeros(4, 4, 8, 8), rooms.frame_guide.GuideImages(picture, None),
        rooms.frame_guide.GuideSettings(),
    )  # fmt: skip
    cues = rooms.cues.read_timeline("0: a red square / 12: a blue circle ~4", "text")
    positive = rooms.timeline.encode_timeline(Words(), cues, 16)
    guider = rooms.guider_of(patched, positive, Words().encode_from_tokens_scheduled("nothing"), 3.0)
    scene, order = rooms.shot.prepare(guider, tiny.Vae(), {"samples": torch.zeros(1, 4, 8, 8)})
    queue = rooms.queue.QueueSettings(window=4, partitions=2, context=1)
    return scene, replace(order, fps=8.0, seed=5, queue=queue, schedules=rooms.queue.Schedules(strength=strength))
