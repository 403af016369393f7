"""Fixtures of this folder."""

from typing import Any

import pytest
import torch
from host_vaes import host_vae


@pytest.fixture
def inference(tiny: Any) -> Any:
    with torch.inference_mode():
        yield
    tiny.unload()


@pytest.fixture
def svd(tiny: Any) -> Any:
    return host_vae("svd")


@pytest.fixture
def demo_vae(tiny: Any) -> Any:
    from zoetrope.hosts.comfyui.loaders import demo as comfyui_demo

    return comfyui_demo.load_demo().vae
