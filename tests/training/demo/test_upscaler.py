"""The upscaler's recipe on tiny data: where its VAE starts, what windows show, what each stage teaches."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise
from torch.nn import functional as F
from zoetrope.demo.layout import load_text, new_upscaler_motion
from zoetrope.demo.world import draw
from zoetrope.hosts.diffusers.demo.model import new_vae
from zoetrope.hosts.diffusers.demo.superres import load_upscaler, new_upscaler, new_upscaler_vae
from zoetrope.training.demo.__main__ import main
from zoetrope.training.demo.config import UpscalerRun, read_config
from zoetrope.training.demo.upscaler import Windows, a_level_less, build_windows, upscaler_loss, window_of

STAGES = Path(__file__).parents[3] / "training" / "demo" / "stages"


def run_of(name: str, **changes: Any) -> UpscalerRun:
    run = read_config(STAGES / f"{name}.json")
    assert isinstance(run, UpscalerRun)
    return replace(run, **{"shots": 2, "window": 32, "frames": 3, "batch": 2, **changes})


def test_the_vae_starts_from_the_outer_levels_of_the_other() -> None:
    torch.manual_seed(0)
    other, vae = new_vae(), new_upscaler_vae()
    vae.load_state_dict(a_level_less(other.state_dict()), strict=True)
    assert torch.equal(vae.encoder.conv_in.weight, other.encoder.conv_in.weight)
    ours, theirs = vae.decoder.up_blocks[2].resnets[1].conv1.weight, other.decoder.up_blocks[3].resnets[1].conv1.weight
    assert torch.equal(ours, theirs)


def test_windows_show_the_shape_in_both_sizes(tmp_path: Path) -> None:
    run = run_of("upscaler", window=96)
    scene = draw(torch.Generator().manual_seed(1), colour="red", background="black", motion="moving right")
    for seed in range(5):
        clip = window_of(scene, run, torch.Generator().manual_seed(seed))
        assert clip.shape == (3, 3, 96, 96)
        assert clip[1, 0].max() > 0.8  # red
    torch.manual_seed(0)
    vae = new_upscaler_vae()
    windows = build_windows(tmp_path / "w.pt", vae, run)
    assert windows.latents.shape == (2, 3, 4, 24, 24)
    assert windows.small.shape == (2, 3, 3, 24, 24)
    again = build_windows(tmp_path / "w.pt", vae, run)
    assert torch.equal(windows.latents, again.latents)
    assert again.captions == windows.captions


def test_small_pictures_of_the_damage_stages_are_damaged_and_large_ones_are_not(tmp_path: Path) -> None:
    vae = new_upscaler_vae()
    clean, spoilt = (build_windows(tmp_path / f"{name}.pt", vae, run_of(name)) for name in ("upscaler", "upscaler_damage"))
    assert torch.equal(clean.latents, spoilt.latents)
    change = (clean.small - spoilt.small).float().abs()
    assert change.mean() > 0.005
    assert (change.flatten(1).amax(1) > 0.02).all()


@pytest.mark.parametrize("name", ["upscaler", "upscaler_video", "upscaler_damage", "upscaler_damage_video"])
def test_each_stage_teaches_its_own_layers(name: str) -> None:
    run = run_of(name)
    torch.manual_seed(0)
    unet, motion, text = new_upscaler(), new_upscaler_motion(), load_text()
    unet.requires_grad_(not run.over_frames)
    windows = Windows(noise(2, 3, 4, 8, 8).half(), noise(2, 3, 3, 8, 8, seed=1).sigmoid().half(), ("a red circle", "a circle"))
    loss = upscaler_loss(run, windows, unet, text, motion)
    value, figures = loss(torch.Generator().manual_seed(0), torch.Generator().manual_seed(1))
    again, _ = loss(torch.Generator().manual_seed(0), torch.Generator().manual_seed(1))
    assert float(value) == float(again)
    value.backward()
    parts = {"unet": unet, "motion": motion}
    learning = {name for name, part in parts.items() if any(p.grad is not None for p in part.parameters())}
    assert learning == ({"motion"} if run.over_frames else {"unet"})
    assert set(figures) == ({"clip", "between"} if run.over_frames else {"still"})


def test_the_stages_make_files_that_enlarge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From nothing to four times as wide, two steps a stage."""
    import json

    from zoetrope.training.demo import __main__ as training
    from zoetrope.training.demo import export

    monkeypatch.setattr(export, "PICTURES", 16)
    monkeypatch.setattr(training, "show_vae", lambda size: lambda modules: picture())
    monkeypatch.setattr(training, "show_upscaler", lambda *_: lambda modules: picture())
    configs = {}
    for name in ("upscaler_vae", "upscaler", "upscaler_video"):
        config = json.loads((STAGES / f"{name}.json").read_text())
        small: dict[str, Any] = {"steps": 2, "batch": 2, "size": 64, "save_every": 2, "show_every": 2}
        small |= {"crop": 32, "shots": 2, "window": 32}
        config |= {key: value for key, value in small.items() if key in config}
        configs[name] = tmp_path / f"{name}.json"
        configs[name].write_text(json.dumps(config))

    def stage(name: str, *more: str) -> str:
        output = str(tmp_path / name)
        monkeypatch.setattr("sys.argv", ["training", str(configs[name]), "--output", output, "--device", "cpu", *more])
        main()
        return output

    vae = stage("upscaler_vae")
    still = stage("upscaler", "--vae", vae)
    video = stage("upscaler_video", "--vae", vae, "--from", still)
    demo = tmp_path / "demo"
    demo.mkdir()
    text = Path(__file__).parents[3] / "demo" / "weights" / "text.safetensors"
    (demo / text.name).write_bytes(text.read_bytes())
    told = ["--vae", vae, "--from", still, "--video", video]
    monkeypatch.setattr("sys.argv", ["training", "export_upscaler", "--output", str(demo), *told])
    main()
    upscaler = load_upscaler(demo)
    frames = noise(3, 3, 8, 8).sigmoid()
    out = torch.stack(list(upscaler.enlarge(frames, steps=2)))
    assert out.shape == (3, 3, 32, 32)
    assert (F.avg_pool2d(out, 4).mean() - frames.mean()).abs() < 0.2


def picture() -> Any:
    from PIL import Image

    return Image.new("RGB", (8, 8))
