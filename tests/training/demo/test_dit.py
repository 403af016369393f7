"""The stage of the video transformer: a step, its sizes, and the export as the host's own class."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_training import STAGES
from zoetrope.training.demo.__main__ import main
from zoetrope.training.demo.config import DitRun, read_config
from zoetrope.training.demo.dit import new_dit, predict, wan_weights
from zoetrope.training.demo.networks import new_vae
from zoetrope.training.loop import averaged_weights


def run_of(**changed: Any) -> DitRun:
    run = read_config(STAGES / "dit.json")
    assert isinstance(run, DitRun)
    return DitRun(**{**vars(run), **changed})


def test_the_network_has_at_most_3_million_parameters() -> None:
    assert 1_500_000 < sum(p.numel() for p in new_dit(run_of()).parameters()) <= 3_000_000


def test_steps_train_every_weight_and_continue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    settings = json.loads((STAGES / "dit.json").read_text())
    settings |= {"steps": 2, "batch": 1, "shots": 1, "frames": [4], "width": 32, "layers": 1, "warmup": 1, "save_every": 1,
                 "show_every": 2, "heads": 2}  # fmt: skip
    (tmp_path / "dit.json").write_text(json.dumps(settings))
    save_file(new_vae().state_dict(), tmp_path / "vae.safetensors")
    command = ["training", str(tmp_path / "dit.json"), "--output", str(tmp_path / "run"), "--vae", str(tmp_path)]
    monkeypatch.setattr("sys.argv", [*command, "--until", "1", "--device", "cpu"])
    main()
    first = averaged_weights(tmp_path / "run")["dit"]
    monkeypatch.setattr("sys.argv", [*command, "--device", "cpu"])
    main()
    second = averaged_weights(tmp_path / "run")["dit"]
    assert all(not torch.equal(first[key], second[key]) for key in first)
    assert list((tmp_path / "run").glob("*.png"))


@pytest.mark.host
def test_the_host_s_network_with_the_exported_weights_is_the_trained_one(tiny: Any) -> None:
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    run = run_of(width=32, layers=2, heads=2)
    torch.manual_seed(3)
    network = new_dit(run).eval()
    host = WanModel(
        model_type="t2v", patch_size=(1, 1, 1), dim=32, num_heads=2, ffn_dim=96, num_layers=2, freq_dim=64, text_dim=64,
        in_dim=4, out_dim=4, text_len=12, dtype=torch.float32, device="cpu", operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    host.load_state_dict(wan_weights(network), strict=True)
    clips, levels, context = torch.randn(2, 5, 4, 8, 8), torch.rand(2, 5), torch.randn(2, 12, 64)
    with torch.inference_mode():
        ours = predict(network, clips, levels, context)
        made = host(clips.movedim(2, 1), 1000 * levels, context).movedim(1, 2)
    assert (ours - made).abs().max() <= 1e-5
