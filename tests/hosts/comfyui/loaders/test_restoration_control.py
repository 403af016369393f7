"""DiffBIR's restoration control in the host's own ControlNet."""

from pathlib import Path
from typing import Any

import formats
import golden
import parity
import pytest
import torch
from layers import randomise
from safetensors.torch import save_file

pytestmark = pytest.mark.host


@pytest.mark.parametrize("path", golden.claim("diffbir_controlnet"))
@torch.inference_mode()
def test_controls_and_prediction_of_the_reference(tiny: Any, path: Path) -> None:
    from zoetrope.hosts.comfyui.loaders.restoration_control import network_of
    from zoetrope.models.restorers.diffbir import restoration_control_from

    tensors, header = golden.read(path)
    config = golden.config(header)
    heads = config["num_head_channels"]
    weights = {key.removeprefix("w.controlnet."): value for key, value in tensors.items() if key.startswith("w.controlnet.")}
    network = network_of(restoration_control_from(weights, path.name, head_channels=heads), torch.float32)
    x, steps, text = (tensors[f"in.{name}"] for name in ("x", "timesteps", "context"))
    found = network(x=x, hint=tensors["in.hint"], timesteps=steps, context=text)
    outputs = [*found["output"], *found["middle"]]
    names = sorted(key for key in tensors if key.startswith("out.control_"))
    assert len(outputs) == len(names)
    layout = {
        **tiny.LAYOUT, "channel_mult": config["channel_mult"], "transformer_depth": [1, 1], "num_head_channels": heads,
        "transformer_depth_output": [1] * 4, "context_dim": config["context_dim"], "use_linear_in_transformer": True,
    }  # fmt: skip
    del layout["num_heads"]
    unet = {key.removeprefix("w.unet."): value for key, value in tensors.items() if key.startswith("w.unet.")}
    model = tiny.model(layout, unet)
    tiny.load_unet(model)
    own = model.model.diffusion_model
    scaled = {kind: [config["strength"] * out for out in rows] for kind, rows in found.items()}
    pairs = [*zip(names, outputs, strict=True), ("out.eps_without", own(x, steps, context=text))]
    pairs.append(("out.eps", own(x, steps, context=text, control=scaled)))
    tiny.unload()
    for name, out in pairs:
        error = ((out - tensors[name]).abs().max() / tensors[name].abs().max()).item()
        assert parity.within("DiffBIR", f"{path.stem} {name.removeprefix('out.')}", tiny.NAME, error, 2e-4)


def restoration_file(tiny: Any, path: Path) -> Path:
    """A small file with the published keys and heads of 64 channels."""
    layout = {**tiny.LAYOUT, "model_channels": 64, "num_head_channels": 64, "use_linear_in_transformer": True}
    for name in ("num_heads", "out_channels", "transformer_depth_output", "use_checkpoint"):
        del layout[name]
    network = tiny.ControlNetwork(**layout, hint_channels=4, operations=tiny.comfy.ops.manual_cast, device="cpu")
    randomise(network, 5)
    kept = {key: value for key, value in network.state_dict().items() if not key.startswith("input_hint_block.")}
    kept["input_blocks.0.0.weight"] = torch.cat([kept["input_blocks.0.0.weight"], 0.3 * torch.ones(64, 4, 3, 3)], 1)
    save_file({key: value.contiguous() for key, value in kept.items()}, path)
    return path


def test_apply_controlnet_encodes_the_picture_with_the_vae(tiny: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.loaders.restoration_control import load

    model = tiny.model({**tiny.LAYOUT, "model_channels": 64})
    control = load(str(restoration_file(tiny, tmp_path / "d.safetensors")))

    def sample(strength: float, seed: int = 0, vae: Any = None) -> Any:
        hint = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
        used = control.copy().set_cond_hint(hint, strength=strength, vae=vae or tiny.PictureVae())
        positive = [[tiny.text()[0][0], {"control": used, "control_apply_to_uncond": True}]]
        return tiny.sample(model, frames=2, positive=positive)

    plain = tiny.sample(model, frames=2)
    assert torch.equal(sample(0.0), plain)
    assert not torch.allclose(sample(1.0), plain, atol=1e-3)
    assert not torch.allclose(sample(1.0), sample(1.0, seed=1), atol=1e-4), "the picture is the hint"


def test_a_missing_vae_and_broken_files(tiny: Any, tmp_path: Path) -> None:
    from zoetrope.hosts.comfyui.loaders.restoration_control import load

    path = restoration_file(tiny, tmp_path / "d.safetensors")
    control = load(str(path)).copy().set_cond_hint(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="needs a VAE"):
        tiny.sample(tiny.model({**tiny.LAYOUT, "model_channels": 64}), positive=[[tiny.text()[0][0], {"control": control}]])
    from safetensors.torch import load_file

    weights = load_file(path)
    del weights["zero_convs.1.0.bias"]
    save_file(weights, path)
    with pytest.raises(ValueError, match=r"d.safetensors: this looks like DiffBIR, but lacks keys: zero_convs.1.0.bias"):
        load(str(path))


def test_a_file_of_full_size_fits_the_hosts_network(tiny: Any) -> None:
    from zoetrope.hosts.comfyui.loaders.restoration_control import network_of
    from zoetrope.models.restorers.diffbir import restoration_control_from

    network = network_of(restoration_control_from(formats.published("diffbir_controlnet"), "d"), torch.float32)
    assert sum(name.startswith("zero_convs.") for name, _ in network.named_parameters()) == 2 * 12
    assert sum(weight.numel() for weight in network.parameters()) == formats.record("diffbir_controlnet")["n_elements"]
