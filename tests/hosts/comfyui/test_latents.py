"""Latents of other models are refused in words, by whatever node of ours stands on the MODEL."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host

OTHERS = {
    "video latent": ((1, 4, 5, 8, 8), r"one latent per frame \(f, c, h, w\), got \(1, 4, 5, 8, 8\).*Empty Latent Image"),
    "other channels": ((4, 16, 8, 8), r"expected 4 channels, which this MODEL samples, got 16"),
}


def nodes(tiny: Any, folder: Path) -> dict[str, Callable[[], Any]]:
    from zoetrope.hosts.comfyui.sampling.windows import in_windows
    from zoetrope.sampling.windows import Windows

    base = tiny.model()
    motion = tiny.own_file(base, folder / "m.safetensors", seed=1)
    projector, vision = tiny.projector(base), tiny.vision(folder)
    return {
        "motion": lambda: tiny.applied(base, motion),
        "image prompt": lambda: tiny.prompted(base, projector, vision, tiny.picture()),
        "windows": lambda: in_windows(base, Windows("standard_static", 4, 2)),
    }


@pytest.mark.parametrize("what", OTHERS)
def test_they_are_refused_by_every_node(tiny: Any, tmp_path: Path, what: str) -> None:
    import comfy.sample

    shape, message = OTHERS[what]
    latent = torch.rand(shape)
    for made in nodes(tiny, tmp_path).values():
        with pytest.raises(ValueError, match=message):
            comfy.sample.sample(
                made(), latent, 1, 1.0, "euler", "normal", tiny.text(), tiny.text(seed=2), latent, disable_pbar=True, seed=1
            )
    tiny.unload()


def test_they_are_refused_by_the_queue_the_shot_and_the_guide(tiny: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.conditioning.frame_guide import GuideImages, GuideSettings, apply_guide
    from zoetrope.hosts.comfyui.sampling.fifo import FifoSampler
    from zoetrope.hosts.comfyui.sampling.guider import guider_of
    from zoetrope.hosts.comfyui.shot.shot import prepare
    from zoetrope.sampling.queue import QueueSettings, Schedules

    base = tiny.model()
    guider = guider_of(base, tiny.text(), tiny.text(seed=2), 1.0)
    for shape, message in OTHERS.values():
        latent = torch.rand(shape)
        with pytest.raises(ValueError, match=message):
            prepare(guider, tiny.Vae(), {"samples": latent})
        sampler = FifoSampler(QueueSettings(window=2, partitions=2), 2, Schedules(), published=True)
        with pytest.raises(ValueError, match=message):
            guider.sample(latent, latent, sampler, torch.tensor([14.0, 0.0]), disable_pbar=True, seed=1)
    motion = tiny.own_file(base, tmp_path / "m.safetensors", seed=1)
    pictures = GuideImages(tiny.picture(size=(64, 64)), None)
    with pytest.raises(ValueError, match=OTHERS["video latent"][1]):
        apply_guide(base, motion, tiny.PictureVae(), torch.rand(1, 4, 5, 8, 8), pictures, GuideSettings())
    tiny.unload()
