"""LoRA by frame: each frame as core's LoRA at that frame's strength, in the host's own UNet."""

from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise
from torch import Tensor

pytestmark = pytest.mark.host

RAMP = (0.0, 0.25, 0.5, 1.0)


@pytest.fixture
def loras(tiny: Any) -> Any:
    import tiny_loras

    return tiny_loras


def call(tiny: Any, model: Any, frames: int = 4, chunks: int = 1) -> Tensor:
    rows = frames * chunks
    with torch.inference_mode():
        return tiny.call_unet(
            model, noise(rows, 4, 8, 8), torch.full((rows,), 500.0), noise(rows, 7, 16), chunks=chunks
        ).clone()


def core_by_frame(tiny: Any, loras: Any, model: Any, lora: dict[str, Tensor], strengths: Any = RAMP) -> Tensor:
    """Each frame of a call of the model with core's LoRA at the frame's strength."""
    return torch.stack([call(tiny, loras.core(model, lora, s))[frame] for frame, s in enumerate(strengths)])


def near(found: Tensor, expected: Tensor) -> bool:
    return bool((found - expected).abs().max() < 1e-5 * expected.abs().max())


@pytest.mark.parametrize("spelling", ["kohya", "kohya, diffusers' names", "diffusers", "diffusers without processor", "peft"])
def test_a_ramp_is_cores_lora_at_each_frames_strength(tiny: Any, base: Any, loras: Any, spelling: str, tmp_path: Path) -> None:
    same = loras.random_lora(base, alpha=None)
    expected = core_by_frame(tiny, loras, base, same)
    found = call(tiny, loras.by_frame(base, loras.saved(loras.random_lora(base, spelling, None), tmp_path), loras.ramp(*RAMP)))
    assert near(found, expected)
    plain = call(tiny, base)
    assert not torch.allclose(found[1], plain[1], atol=1e-2)
    assert torch.equal(found[0], plain[0])


def test_alpha_by_rank_and_every_sort_of_layer(tiny: Any, base: Any, loras: Any, tmp_path: Path) -> None:
    for only in ("", "attn1", "in_layers", "emb_layers", "time_embed", "ff.net", "op", "skip_connection"):
        lora = loras.random_lora(base, alpha=1.0, only=only)
        assert lora, only
        found = call(tiny, loras.by_frame(base, loras.saved(lora, tmp_path), loras.ramp(*RAMP)))
        assert near(found, core_by_frame(tiny, loras, base, lora)), only
