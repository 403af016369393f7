"""Fixtures of this folder."""

from typing import Any

import pytest
import torch
from torch import Tensor


@pytest.fixture
def demo(tiny: Any) -> Any:
    from zoetrope.hosts.comfyui.loaders.demo import load_demo
    from zoetrope.hosts.comfyui.motion.apply import Settings, apply

    parts = load_demo()
    return parts, apply(parts.model, parts.motion, Settings())


@pytest.fixture
def large(tiny: Any) -> Any:
    from zoetrope.hosts.comfyui.loaders.demo_upscaler import load_upscaler_demo
    from zoetrope.hosts.comfyui.motion.apply import Settings, apply

    parts = load_upscaler_demo()
    return parts, apply(parts.model, parts.motion, Settings())


@pytest.fixture
def inference(tiny: Any) -> Any:
    with torch.inference_mode():
        yield
    tiny.unload()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of all UNet calls."""
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    seen: list[tuple[int, ...]] = []
    plain = UNetModel._forward

    def forward(self: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        seen.append(tuple(x.shape))
        return plain(self, x, *args, **kwargs)

    monkeypatch.setattr(UNetModel, "_forward", forward)
    return seen
