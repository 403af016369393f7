"""Fixtures of this folder."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from host_shots import WINDOW, Audience, guider_for
from torch import Tensor


@pytest.fixture
def film(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """film(frames, folder=..., ...) -> (shot, news), a tiny model with motion and LoRA, in segments of 4 frames."""
    from zoetrope.hosts.comfyui.shot import shot as comfyui_shot
    from zoetrope.sampling.queue import QueueSettings
    from zoetrope.shots.folder import ShotFolder

    usual = QueueSettings(window=WINDOW, partitions=2, context=1)
    monkeypatch.setattr(comfyui_shot, "SEGMENT", 4)

    def run(
        frames: int, folder: str = "shots", prediction: str = "EPS", scale: float = 0.05, cfg: float = 3.0, hint: float = 0.0,
        queue: Any = usual, samples: Tensor | None = None, strength: float = 1.0, tell: Any = None, guider: Any = None,
        vae: Any = None, mask: Tensor | None = None, **request: Any,
    ) -> Any:  # fmt: skip
        guider = guider or guider_for(tiny, tmp_path, prediction, scale, cfg, hint, strength)
        latent = torch.zeros(1, 4, 8, 8) if samples is None else samples
        inputs, prepared = comfyui_shot.prepare(
            guider, vae or tiny.Vae(), {"samples": latent, **({} if mask is None else {"noise_mask": mask})}
        )
        prepared = replace(prepared, frames=frames, queue=queue, **request)
        place = ShotFolder(tmp_path / folder, "shot")
        with torch.inference_mode():
            return comfyui_shot.make_shot(inputs, prepared, place, Audience(tell))

    yield run
    tiny.unload()
