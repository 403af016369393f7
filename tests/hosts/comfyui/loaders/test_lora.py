"""LoRA files for a strength by frame: what is read, what is counted, what is refused with which words."""

from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise

pytestmark = pytest.mark.host


@pytest.fixture
def loras(tiny: Any) -> Any:
    import tiny_loras

    return tiny_loras


def read(model: Any, tensors: dict[str, Any], **header: str) -> Any:
    from zoetrope.hosts.comfyui.loaders.lora import lora_from
    from zoetrope.hosts.comfyui.loaders.lora_keys import target_of

    return lora_from(tensors, "style.safetensors", target_of(model), header)


def test_the_report_counts_keys_that_act_and_keys_that_do_not(base: Any, loras: Any) -> None:
    from zoetrope.hosts.comfyui.loaders.lora import report_of

    lora = loras.random_lora(base)
    count = len(lora)
    stem = "lora_te_text_model_encoder_layers_0_mlp_fc1"
    lora |= {f"{stem}.lora_down.weight": noise(4, 8), f"{stem}.lora_up.weight": noise(8, 4)}
    lora["lora_unet_elsewhere_to_q.lora_down.weight"] = noise(4, 8)
    text = report_of(read(base, lora))
    layers = loras.layers_of(base)
    convolutions = sum(layer.weight.ndim == 4 for layer in layers.values())
    assert f"layers      {count // 3} of the UNet: {count // 3 - convolutions} linear, {convolutions} convolution" in text
    assert f"by frame    {count} of {count + 3} tensors" in text
    assert "not by frame 2 tensors of text encoders (lora_te_text_model_encoder_layers_0_mlp_fc1" in text
    assert "left out    1 tensors without a layer in this MODEL (lora_unet_elsewhere_to_q.lora_down.weight" in text


def test_all_spellings_give_the_same_factors(base: Any, loras: Any) -> None:
    expected = read(base, loras.random_lora(base, alpha=None))
    for spelling in loras.ENDINGS:
        found = read(base, loras.random_lora(base, spelling, None))
        assert found.factors.keys() == expected.factors.keys(), spelling
        for name, factors in found.factors.items():
            assert torch.equal(factors.down, expected.factors[name].down), (spelling, name)


def test_the_headers_alpha_counts_where_the_hosts_loader_does_not_read_the_spelling(base: Any, loras: Any) -> None:
    header = {"lora_adapter_metadata": '{"unet.lora_alpha": 8, "unet.r": 4}'}
    plain = read(base, loras.random_lora(base, "peft", only="attn1"))
    scaled = read(base, loras.random_lora(base, "peft", only="attn1"), **header)
    ignored = read(base, loras.random_lora(base, "diffusers", only="attn1"), **header)
    for name, factors in plain.factors.items():
        assert torch.allclose(scaled.factors[name].up, 2 * factors.up)
        assert torch.equal(ignored.factors[name].up, factors.up)


def test_a_lora_for_another_base_model_is_refused_with_both_names(tiny: Any, base: Any, loras: Any) -> None:
    from zoetrope.models.errors import DoesNotFit

    wider = tiny.model({**tiny.LAYOUT, "context_dim": 2048})
    with pytest.raises(DoesNotFit, match=r"this LoRA was made for SDXL \(text tokens of 2048 numbers\), this MODEL is another"):
        read(base, loras.random_lora(wider))
    broader = tiny.model({**tiny.LAYOUT, "model_channels": 64})
    with pytest.raises(DoesNotFit, match=r"another base model than this MODEL's: .*: its .* factor is .*; and \d+ more layers"):
        read(base, loras.random_lora(broader))
    with pytest.raises(DoesNotFit, match="this LoRA has no layer that this MODEL has"):
        read(base, {"lora_unet_elsewhere_to_q.lora_down.weight": noise(4, 8)})


MOTION = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.processor.to_q_lora"
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"
LAYER = "lora_unet_input_blocks_1_1_transformer_blocks_0_attn1_to_q"
PAIR = {f"{LAYER}.lora_down.weight": (4, 32), f"{LAYER}.lora_up.weight": (32, 4)}
REFUSED: dict[str, tuple[dict[str, tuple[int, ...]], str]] = {
    "motion": (
        {f"{MOTION}.down.weight": (4, 32), f"{MOTION}.up.weight": (32, 4)},
        r"a LoRA for a motion module \(down_blocks.0.*\): Apply Motion LoRA takes it",
    ),
    "text": ({f"{TEXT}.lora_down.weight": (4, 8), f"{TEXT}.lora_up.weight": (8, 4)}, "changes text encoders only"),
    "DoRA": ({**PAIR, f"{LAYER}.dora_scale": (32, 1)}, "this is a DoRA .* depends on the norms of the model's own weights"),
    "OFT": ({f"{LAYER}.oft_blocks": (4, 8, 8)}, "this is an OFT .* it rotates the model's own weights"),
    "whole": ({**PAIR, f"{LAYER}.diff_b": (32,)}, "this is a difference of whole weights .* norms and biases as well"),
    "half": ({f"{LAYER}.lora_up.weight": (32, 4)}, "it lacks .*lora_down.weight'; use a file that was saved whole"),
    "other half": ({f"{LAYER}.lora_down.weight": (4, 32)}, "expected all factors of an adapter, got only lora_down.weight"),
    "vector": (
        {**PAIR, f"{LAYER}.lora_down.weight": (32,)},
        r"expected a matrix of finite .* got torch.float32 of shape \[32\]",
    ),
    "two": ({**PAIR, f"{LAYER}.lora_A.weight": (4, 32)}, "the file holds two adapters for one layer"),
    "nothing": ({"a.weight": (4, 4), "b.weight": (4, 4)}, "this is no LoRA: expected keys such as lora_unet_"),
    "transformer": (
        {f"lora_unet_double_blocks_0_img_attn_qkv.lora_{end}.weight": (4, 4) for end in ("down", "up")},
        "no LoRA for the UNet of an image model but a LoRA for a video transformer",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_named_with_its_reason(base: Any, name: str) -> None:
    from zoetrope.models.errors import WrongFile

    shapes, words = REFUSED[name]
    with pytest.raises(WrongFile, match=words):
        read(base, {key: noise(*shape) for key, shape in shapes.items()})
    if name == "half":
        with pytest.raises(WrongFile, match="expected a matrix of finite"):
            read(base, {key: torch.full(shape, torch.nan) for key, shape in PAIR.items()})


def test_the_node_gives_a_model_and_its_report(base: Any, loras: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from zoetrope.nodes import lora as nodes_lora

    path = loras.saved(loras.random_lora(base), tmp_path)
    monkeypatch.setattr(nodes_lora, "path_of", lambda folder, name: path)
    mask = torch.ones(1, 8, 8)
    model, report = nodes_lora.LoraByFrame.execute(base, "style.safetensors", 0.5, "0: 0 / 8: 1 ~4", 0.1, 0.9, mask).args
    own = model.model_options["transformer_options"]["zoetrope.lora.0"]
    assert (own["start"], own["end"], own["by_frame"]) == (0.1, 0.9, True)
    assert own["strength"].shape == (13, 8, 8)
    assert float(own["strength"][-1].max()) == 0.5
    assert report.startswith("file        style.safetensors: LoRA of rank 4")
    with pytest.raises(ValueError, match="expected 0 <= start <= end <= 1, got 0.9 and 0.1"):
        nodes_lora.LoraByFrame.execute(base, "style.safetensors", 0.5, "", 0.9, 0.1)
