"""DiffBIR's files and guidance. The network itself runs in the host's tests."""

from pathlib import Path

import formats
import golden
import parity
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F
from zoetrope.models.restorers.diffbir import load_restoration_control, restoration_control_from
from zoetrope.models.restorers.guidance import flatness, guidance

LIST = "diffbir_controlnet"


def test_the_published_list_maps_whole_and_maps_back() -> None:
    tensors = formats.published(LIST)
    opened = restoration_control_from(tensors, LIST)
    assert (len(tensors), len(opened.control)) == (324, 325)
    assert opened.layout["channel_mult"] == [1, 2, 4, 4]
    assert opened.layout["transformer_depth"] == [1, 1, 1, 1, 1, 1, 0, 0]
    assert (opened.layout["hint_channels"], opened.layout["context_dim"]) == (4, 1024)
    assert {k: v.shape for k, v in opened.published().items()} == {k: v.shape for k, v in tensors.items()}
    parity.mapped("DiffBIR", "control", LIST, len(tensors), 13)


@pytest.mark.parametrize("path", golden.borrow("diffbir_controlnet"))
def test_its_first_convolution_is_the_sum_of_two(path: Path) -> None:
    tensors, _ = golden.read(path)
    weights = {key.removeprefix("w.controlnet."): value for key, value in tensors.items() if key.startswith("w.controlnet.")}
    control = restoration_control_from(weights, path.name, head_channels=16).control
    x, hint = tensors["in.x"], tensors["in.hint"]
    both = F.conv2d(torch.cat([x, hint], 1), weights["input_blocks.0.0.weight"], weights["input_blocks.0.0.bias"], padding=1)
    apart = F.conv2d(x, control["input_blocks.0.0.weight"], control["input_blocks.0.0.bias"], padding=1)
    apart = apart + F.conv2d(hint, control["input_hint_block.0.weight"], padding=1)
    assert parity.within("DiffBIR", f"{path.stem} first convolution", "core", (both - apart).abs().max().item(), 1e-5)


@pytest.mark.parametrize("path", golden.claim("diffbir_guidance"))
def test_guidance(path: Path) -> None:
    tensors, header = golden.read(path)
    scale = float(golden.config(header)["scale"])
    latent = guidance(tensors["in.pred_latent"], tensors["in.target_latent"], scale)
    weight = flatness((tensors["in.target_rgb"] + 1) / 2)
    pictures = guidance(tensors["in.pred_rgb"], tensors["in.target_rgb"], scale, weight)
    for name, found in (("delta_latent", latent), ("weight", weight), ("delta_rgb", pictures)):
        expected = tensors[f"out.{name}"]
        error = ((found - expected).abs().max() / expected.abs().max()).item()
        assert parity.within("DiffBIR", f"{path.stem} {name}", "core", error, 1e-5)


def test_other_files_are_refused_with_the_right_place(tmp_path: Path) -> None:
    controlnet = {"zero_convs.0.0.weight": torch.zeros(1), "input_hint_block.0.weight": torch.zeros(1)}
    save_file(controlnet | {"middle_block_out.0.weight": torch.zeros(1)}, tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match=r"c.safetensors: .*not a restoration control but a ControlNet .* Load ControlNet"):
        load_restoration_control(tmp_path / "c.safetensors")
    with pytest.raises(ValueError, match=r"the image restorer StableSR .*S-Lab License 1.0, not for commercial use"):
        restoration_control_from(formats.published("stablesr_webui"), "s")
    half = {key: value for key, value in formats.published(LIST).items() if not key.startswith("middle_block.1")}
    with pytest.raises(ValueError, match=r"looks like DiffBIR, .*(lacks keys|incomplete|complete network)"):
        restoration_control_from(half, "half")
    broken = dict(formats.published(LIST))
    broken["middle_block_out.0.bias"] = torch.full((1280,), torch.nan)
    with pytest.raises(ValueError, match=r"NaN weights: middle_block_out.0.bias"):
        restoration_control_from(broken, "broken")


LICENCES = {"stablesr": "S-Lab", "mgldvsr": "S-Lab", "seesr": "Apache", "pasd": "Apache"}
NAMES = {"stablesr": "StableSR", "mgldvsr": "MGLD-VSR", "seesr": "SeeSR", "pasd": "PASD"}
OTHERS = (
    "stablesr", "stablesr_cfw", "stablesr_webui", "mgldvsr_unet", "mgldvsr_vae", "seesr_controlnet", "seesr_unet",
    "pasd_controlnet", "pasd_light_unet", "pasd_rrdb_controlnet", "pasd_unet",
)  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_restorers_are_named_with_their_licence_and_what_is_to_come(name: str) -> None:
    family = name.partition("_")[0]
    with pytest.raises(ValueError, match=rf"not a restoration control but .*{NAMES[family]}.*to come; {LICENCES[family]}"):
        restoration_control_from(formats.published(name), name)
