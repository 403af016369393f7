"""The Long shot shelf as the host calls it: from widgets to a file, and every bad widget refused by name."""

from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.host


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    return tmp_path


def filmed(tiny: Any, motion: Path, **inputs: Any) -> Any:
    from zoetrope.nodes.shot import EndlessShot, QueueSettingsNode

    model = tiny.model()
    patched = tiny.applied(model, tiny.own_file(model, motion, seed=1))
    (queue,) = QueueSettingsNode.execute(4, 2, 1, 0, 1.0, 1, "base clip").args
    given = {
        "model": patched, "positive": tiny.text(), "negative": tiny.text(seed=2), "vae": tiny.Vae(),
        "latent": {"samples": torch.zeros(1, 4, 8, 8)}, "seed": 1, "frames": 5, "fps": 8.0, "cfg": 3.0, "preset": "recommended",
        "filename_prefix": "deep/er/shot", "queue": queue, **inputs,
    }  # fmt: skip
    node = EndlessShot.PREPARE_CLASS_CLONE(None)
    with torch.inference_mode():
        return node.execute(**given)


def test_a_shot_is_a_file_below_the_output_folder_and_a_preview(tiny: Any, output: Path) -> None:
    made = filmed(tiny, output / "m.safetensors")
    video, latents = made.args
    path = output / "deep" / "er" / "shot_00001" / "shot_00005_frames.mp4"
    assert Path(video.get_stream_source()) == path
    assert video.get_dimensions() == (64, 64)
    assert latents["samples"].shape == (5, 4, 8, 8)
    shown = made.ui.as_dict()
    assert shown["animated"] == (True,)
    assert shown["images"] == [{"filename": path.name, "subfolder": str(Path("deep/er/shot_00001")), "type": "output"}]
    by_frame = filmed(tiny, output / "m.safetensors", cfg_by_frame="0: 3 / 3: 5 ~1", strength_by_frame="0: 1 / 2: 0")
    assert Path(by_frame.args[0].get_stream_source()).parent.name == "shot_00002"
    assert torch.equal(by_frame.args[1]["samples"][0], latents["samples"][0]) is False  # frame 0 has looked at frame 3
    tiny.unload()


def test_a_guider_replaces_model_prompts_and_cfg(tiny: Any, output: Path) -> None:
    from zoetrope.hosts.comfyui.sampling.guider import guider_of

    plain = filmed(tiny, output / "m.safetensors", cfg=2.0, filename_prefix="plain").args[1]["samples"]
    model = tiny.model()
    guider = guider_of(
        tiny.applied(model, tiny.own_file(model, output / "m.safetensors", seed=1)), tiny.text(), tiny.text(seed=2), 2.0
    )
    guided = filmed(tiny, output / "m.safetensors", guider=guider, filename_prefix="guided", model=None, positive=None)
    assert torch.equal(guided.args[1]["samples"], plain)
    tiny.unload()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"filename_prefix": "../outside"}, "outside the output folder"),
        ({"preset": "best", "queue": None}, "preset: expected one of recommended, paper, fast, got 'best'"),
        ({"cfg_by_frame": "0: 3 / x"}, "cfg_by_frame, line 1, column 8: expected a frame number"),
        ({"strength_by_frame": "0: 9"}, "strength_by_frame, frame 0: expected a number from 0 to 2, got '9'"),
        ({"latent": {"samples": torch.zeros(1, 4, 8, 8), "noise_mask": torch.ones(1, 8, 8)}}, "the latent is empty"),
    ],
)
def test_bad_widgets_are_refused_by_name_and_leave_nothing(tiny: Any, output: Path, inputs: Any, message: str) -> None:
    with pytest.raises(Exception, match=message):
        filmed(tiny, output / "m.safetensors", **inputs)
    assert not (output / "deep" / "er" / "shot_00001").exists()
    tiny.unload()


def test_queue_settings_are_checked() -> None:
    from zoetrope.nodes.shot import QueueSettingsNode

    usual: dict[str, Any] = {
        "window": 16, "partitions": 3, "context": 4, "shift": 0, "eta": 1.0, "windows_per_call": 1,
        "initial_queue": "base clip",
    }  # fmt: skip
    for change, message in (
        ({"context": 9}, r"context: expected 0 to half of the window \(8\), got 9"),
        ({"shift": 12}, r"shift: expected 0 to 11 \(window - context - 1\), got 12"),
        ({"coherent_tail": 1.5}, "coherent_tail: expected 0 to 1, got 1.5"),
        ({"initial_queue": "nothing"}, "initial_queue: expected one of base clip, noise, got 'nothing'"),
    ):
        with pytest.raises(ValueError, match=message):
            QueueSettingsNode.execute(**{**usual, **change})
    assert QueueSettingsNode.execute(**usual).args[0].coherent_tail == 0
    assert QueueSettingsNode.execute(**usual, coherent_tail=0.5).args[0].coherent_tail == 0.5


def test_the_nodes_for_graphs_of_ones_own(tiny: Any) -> None:
    from zoetrope.nodes.windows import FifoSamplerNode, LongShotNoise, SlidingWindows

    (sampler,) = FifoSamplerNode.execute(7, "fast", "published", cfg_by_frame="0: 3").args
    assert hasattr(sampler, "sample")
    with pytest.raises(ValueError, match="levels: expected one of from sigmas, published, got 'mine'"):
        FifoSamplerNode.execute(7, "fast", "mine")
    model = tiny.model()
    (windowed,) = SlidingWindows.execute(model, 4, 2, "standard_static").args
    assert tiny.sample(windowed, frames=7).shape == (7, 4, 8, 8)
    with pytest.raises(ValueError, match="window_schedule: expected one of standard_static"):
        SlidingWindows.execute(model, 4, 2, "static")
    with pytest.raises(ValueError, match="overlap: expected 0 to 3"):
        SlidingWindows.execute(model, 4, 4, "standard_static")
    (noise,) = LongShotNoise.execute(3, 4, 1).args
    assert noise.seed == 3
    assert noise.generate_noise({"samples": torch.zeros(9, 4, 8, 8)}).shape == (9, 4, 8, 8)
    with pytest.raises(ValueError, match="overlap: expected 0 to 3"):
        LongShotNoise.execute(3, 4, 4)
    tiny.unload()


def test_a_plan_is_text(tiny: Any, output: Path) -> None:
    from zoetrope.nodes.shot import ShotPlan
    from zoetrope.sampling.queue import QueueSettings

    arguments = (
        tiny.model(),
        tiny.text(),
        tiny.text(seed=2),
        tiny.Vae(),
        {"samples": torch.zeros(1, 4, 8, 8)},
        1000,
        3.0,
        "fast",
    )
    with torch.inference_mode():
        (text,) = ShotPlan.execute(*arguments, queue=QueueSettings(4, 2, 1)).args
    assert text.startswith("time ")
    assert "windows per call" in text
    tiny.unload()
