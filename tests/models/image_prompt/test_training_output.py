"""IP-Adapters as their training script leaves them: both names of every part, the frozen UNet beside, shared tensors once."""

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from small_files import Tensors, ip_adapter
from torch import Tensor
from zoetrope.models.backbones.unet import SD1, SDXL
from zoetrope.models.image_prompt.layers import places_of
from zoetrope.models.image_prompt.loading import load_projector, projector_from, published

UNET = {"unet.conv_in.weight": torch.zeros(3), "unet.down_blocks.0.resnets.0.conv1.weight": torch.zeros(3)}
PLACES = places_of(SD1)


def trained(tensors: Tensors) -> dict[str, Tensor]:
    renamed = {key.replace("image_proj.", "image_proj_model."): value for key, value in tensors.items()}
    return {key.replace("ip_adapter.", "adapter_modules."): value for key, value in renamed.items()} | UNET


def inside(tensors: Tensors, base: object = SD1) -> dict[str, Tensor]:
    """Keys and values under the names of the UNet's own processors alone."""
    moved: dict[str, Tensor] = {}
    places = PLACES if base is SD1 else places_of(SDXL)
    for key, value in tensors.items():
        if match := re.fullmatch(r"adapter_modules\.(\d+)\.(.*)", key):
            moved[f"{processor(places[int(match[1]) // 2])}.{match[2]}"] = value
        else:
            moved[key] = value
    return moved


def processor(place: str) -> str:
    """diffusers' name of an attention's processor, by ours."""
    if place.startswith("mid"):
        return f"unet.mid_block.attentions.0.transformer_blocks.{place.rpartition('.')[2]}.attn2.processor"
    way, level, number, _, block = place.split(".")
    return f"unet.{way}_blocks.{level}.attentions.{number}.transformer_blocks.{block}.attn2.processor"


FORMS = {
    "the script's": trained,
    "data parallel": lambda t: {f"module.{key}": value for key, value in trained(t).items()},
    "compiled": lambda t: {f"_orig_mod.{key}": value for key, value in trained(t).items()},
    "shared tensors once": lambda t: inside(trained(t)),
    "both names": lambda t: trained(t) | inside(trained(t)),
    "the published layers": lambda t: (
        {k: v for k, v in trained(t).items() if not k.startswith("adapter")}
        | {k: v for k, v in t.items() if k.startswith("ip_adapter")}
    ),
    "the published projector": lambda t: (
        {k: v for k, v in trained(t).items() if not k.startswith("image_proj")}
        | {k: v for k, v in t.items() if k.startswith("image_proj")}
    ),
    "counters beside": lambda t: trained(t) | {"global_step": torch.tensor(3)},
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_published_file(tmp_path: Path, name: str) -> None:
    tensors = ip_adapter()
    made = {key: value.clone().contiguous() for key, value in FORMS[name](tensors).items()}
    wanted = projector_from(tensors, {}, "p").network.state_dict()
    save_file(made, tmp_path / "model.safetensors")
    torch.save({"module": made, "step": 3}, tmp_path / "pytorch_model.bin")
    for file in ("model.safetensors", "pytorch_model.bin"):
        loaded = load_projector(tmp_path / file)
        state = loaded.network.state_dict()
        assert state.keys() == wanted.keys()
        assert all(torch.equal(state[key], value) for key, value in wanted.items())
        assert set(published(loaded)) <= {key.removeprefix("module.").removeprefix("_orig_mod.") for key in made}


@pytest.mark.parametrize("shared", [False, True])
def test_sdxl_has_seventy_layers(shared: bool) -> None:
    tensors = trained(ip_adapter(70))
    loaded = projector_from(inside(tensors, SDXL) if shared else tensors, {}, "p")
    assert len(loaded.network.image.places) == 70


def test_averaged_layers_come_first_there_too() -> None:
    tensors = trained(ip_adapter())
    ema = {f"ema.{key}": value + 1 for key, value in tensors.items() if not key.startswith("unet.")}
    loaded = projector_from(tensors | ema, {}, "p")
    assert torch.equal(loaded.network.state_dict()["projector.norm.bias"], tensors["image_proj_model.norm.bias"] + 1)
    assert "averaged weights (ema)" in loaded.report


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: {k: v for k, v in t.items() if not k.startswith("image_proj")}, "looks like part of an IP-Adapter"),
        (lambda t: {k: v for k, v in t.items() if ".to_k_ip" not in k}, "IP-Adapter as its training script saves it"),
        (lambda t: {k: v for k, v in t.items() if ".31." not in k}, "keys and values for 15 layers"),
        (lambda t: t | {"adapter_modules.0.to_q_lora.down.weight": torch.zeros(1)}, "FaceID"),
    ],
)
def test_what_is_not_whole_is_told_by_what_is_missing(change: object, words: str) -> None:
    with pytest.raises(ValueError, match=words) as error:
        projector_from(change(trained(ip_adapter())), {}, "p")  # type: ignore[operator]
    assert "Load Diffusion Model" not in str(error.value)
