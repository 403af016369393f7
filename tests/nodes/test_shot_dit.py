"""The nodes of the category Long shot with a video transformer: a shot, its plan, the sampler, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytestmark = pytest.mark.host
QUEUE = {"window": 4, "partitions": 2, "context": 1, "shift": 0, "eta": 0.0, "windows_per_call": 1}


@pytest.fixture
def dits(tiny: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    import folder_paths
    import tiny_dits

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    yield tiny_dits
    tiny.unload()


def queue() -> Any:
    from zoetrope.nodes.shot import QueueSettingsNode

    return QueueSettingsNode.execute(**QUEUE, initial_queue="base clip").args[0]


def shared(dits: Any, **more: Any) -> dict[str, Any]:
    return {
        "model": dits.model("wan21"), "positive": dits.text("wan21"), "negative": dits.text("wan21", 4),
        "vae": dits.vae("wan21"), "latent": {"samples": torch.zeros(1, 16, 3, 4, 6)}, "frames": 13, "cfg": 3.0,
        "preset": "recommended", "queue": queue(), **more,
    }  # fmt: skip


def test_a_shot_its_plan_and_the_sampler(dits: Any) -> None:
    from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced
    from films import read_video
    from zoetrope.nodes.shot import EndlessShot, ShotPlan
    from zoetrope.nodes.windows import FifoSamplerNode

    with torch.inference_mode():
        node = EndlessShot.PREPARE_CLASS_CLONE(None)
        video, latent = node.execute(**shared(dits), seed=3, fps=16.0, filename_prefix="shot").args
        (plan,) = ShotPlan.execute(**shared(dits, frames=81)).args
        (sampler,) = FifoSamplerNode.execute(13, "recommended", "published", queue=queue()).args
        run = getattr(SamplerCustomAdvanced, "execute", None) or SamplerCustomAdvanced().sample
        sigmas = torch.tensor([1.0, 0.5, 0.0])
        out = run(Noise(), dits.guider("wan21"), sampler, sigmas, {"samples": torch.zeros(1, 16, 4, 4, 6)})
    frames, fps = read_video(Path(video.get_stream_source()))
    assert (len(frames), fps) == (13, 16.0)
    assert latent["samples"].shape[:2] == (1, 16)
    assert "windows per call" in plan
    made = out[0]["samples"]
    assert made.shape == (1, 16, 4, 4, 6), "13 frames are 4 latents"
    assert torch.allclose(made, latent["samples"][:, :, :4], atol=1e-4)


class Noise:
    seed = 3

    def generate_noise(self, latent: Any) -> Tensor:
        return torch.zeros_like(latent["samples"])


@pytest.mark.one_host
def test_presets_are_those_of_the_model(dits: Any) -> None:
    from zoetrope.nodes.shot import queue_of
    from zoetrope.sampling.queue import PRESETS

    assert queue_of("recommended", None, dits.model("wan21")).window == 21
    assert queue_of("fast", None, dits.model("ltxv")).context == 1
    assert queue_of("fast", queue(), dits.model("ltxv")) == queue()
    assert PRESETS["recommended"].window == 16


@pytest.mark.one_host
def test_a_model_that_is_not_supported_is_refused_before_sampling(dits: Any, tmp_path: Path) -> None:
    from zoetrope.nodes.shot import EndlessShot, ShotPlan

    i2v = dits.built("WAN21_I2V", {**dits.WAN, "model_type": "i2v", "in_dim": 36, "out_dim": 16})
    for execute in (
        lambda: EndlessShot.execute(**shared(dits, model=i2v), seed=3, fps=16.0, filename_prefix="shot"),
        lambda: ShotPlan.execute(**shared(dits, model=i2v)),
    ):
        with pytest.raises(ValueError, match="WAN21 cannot make a long shot: it needs a picture at the head of every clip"):
            execute()
    assert not list(tmp_path.glob("shot*"))
