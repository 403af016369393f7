"""LoRA files of any trainer: which layer a key means, in every spelling, and the scale wherever it stands."""

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from layers import noise
from safetensors.torch import save_file
from torch import Tensor
from zoetrope.models.motion.families.animatediff.lora import MotionLora, load_lora, lora_from, merged, table, weight_of
from zoetrope.models.motion.families.animatediff.module import transformers
from zoetrope.models.motion.module import MotionModule

RANK = 4
WIDTH = 32
BLOCK = "temporal_transformer.transformer_blocks.0."
PLACES = [
    f"{site}.{BLOCK}{layer}"
    for site in ("down_blocks.0.motion_modules.1", "up_blocks.2.motion_modules.0", "mid_block.motion_modules.0")
    for layer in (
        "attention_blocks.0.to_q",
        "attention_blocks.1.to_v",
        "attention_blocks.1.to_out.0",
        "ff.net.0.proj",
        "ff.net.2",
    )
] + ["down_blocks.0.motion_modules.1.temporal_transformer.proj_in"]
OURS = {
    "down.0.1.out.blocks.0.attentions.0.to_q.weight", "up.2.0.out.blocks.0.attentions.1.to_out.weight",
    "mid.attention.blocks.0.ff.proj_out.weight", "down.0.1.out.proj_in.weight",
}  # fmt: skip
Tensors = dict[str, Tensor]
Spell = Callable[[str], str]


def sizes(place: str) -> tuple[int, int]:
    """Out and in of the layer at a place."""
    return {"ff.net.0.proj": (8 * WIDTH, WIDTH), "ff.net.2": (WIDTH, 4 * WIDTH)}.get(place.partition(BLOCK)[2], (WIDTH, WIDTH))


PAIRS = {
    place: (noise(RANK, sizes(place)[1], seed=n), noise(sizes(place)[0], RANK, seed=n + 50)) for n, place in enumerate(PLACES)
}


def diffusers(place: str) -> str:
    place = place.replace("temporal_transformer.", "")
    return re.sub(r"attention_blocks\.(\d)", lambda match: f"attn{int(match[1]) + 1}", place)


def pairs(spell: Spell, down: str, up: str) -> Tensors:
    spelled = {spell(place): pair for place, pair in PAIRS.items()}
    return {f"{place}{down}": a for place, (a, _) in spelled.items()} | {f"{place}{up}": b for place, (_, b) in spelled.items()}


def processor(place: str) -> str:
    """AnimateDiff's own for attention, MotionDirector's for the rest."""
    place = place.replace("to_out.0", "to_out") if place.endswith("to_out.0") and "up_blocks" in place else place
    before, _, last = place.rpartition(".")
    return f"{before}.processor.{last}"


def underscored(prefix: str, spell: Spell = lambda place: place) -> Spell:
    return lambda place: prefix + spell(place).replace(".", "_")


SPELLINGS: dict[str, Tensors] = {
    "published": pairs(processor, "_lora.down.weight", "_lora.up.weight"),
    "PEFT": pairs(lambda p: f"base_model.model.{p}", ".lora_A.weight", ".lora_B.weight"),
    "PEFT with a name": pairs(lambda p: f"base_model.model.unet.{p}", ".lora_A.default.weight", ".lora_B.default.weight"),
    "diffusers": pairs(lambda p: f"unet.{diffusers(p)}", ".lora.down.weight", ".lora.up.weight"),
    "diffusers with PEFT": pairs(lambda p: f"unet.{diffusers(p)}", ".lora_A.weight", ".lora_B.weight"),
    "a transformer's prefix": pairs(lambda p: f"transformer.{diffusers(p)}", ".lora_A.weight", ".lora_B.weight"),
    "a layer in a layer": pairs(
        lambda p: f"unet.{diffusers(p)}", ".lora_linear_layer.down.weight", ".lora_linear_layer.up.weight"
    ),
    "kohya": pairs(underscored("lora_unet_"), ".lora_down.weight", ".lora_up.weight"),
    "kohya, diffusers' places": pairs(underscored("lora_unet_", diffusers), ".lora_down.weight", ".lora_up.weight"),
    "kohya with dots": pairs(lambda p: f"lora_unet.{p}", ".lora_down.weight", ".lora_up.weight"),
    "without a prefix": pairs(diffusers, ".lora_down.weight", ".lora_up.weight"),
    "data parallel": pairs(lambda p: f"module.{p}", ".lora_A.weight", ".lora_B.weight"),
}


@pytest.fixture(scope="module")
def motion() -> MotionModule:
    shapes: dict[str, tuple[int, ...]] = {}
    for site in ("down.0.1.out", "up.2.0.out", "mid.attention"):
        shapes |= {f"{site}.norm.weight": (WIDTH,)}
        shapes |= {f"{site}.blocks.0.attentions.{n}.positions.pe": (1, 8, WIDTH) for n in (0, 1)}
    return MotionModule(transformers(shapes, "frame", torch.nn), 8).requires_grad_(False)


def change(motion: MotionModule, lora: MotionLora) -> Tensors:
    before, after = motion.state_dict(), merged(motion, lora, 1.0).state_dict()
    return {key: after[key] - before[key] for key in after if not torch.equal(after[key], before[key])}


@pytest.fixture(scope="module")
def whole(motion: MotionModule) -> Tensors:
    """What the factors make without a scale, computed by hand."""
    return {str(weight_of(place)): up @ down for place, (down, up) in PAIRS.items()}


def near(got: Tensors, wanted: Tensors, factor: float) -> None:
    assert got.keys() == wanted.keys()
    for key, value in got.items():
        assert torch.allclose(value, factor * wanted[key], atol=1e-4 * max(1, factor)), key


@pytest.mark.parametrize("name", SPELLINGS)
def test_every_spelling_changes_the_same_weights(motion: MotionModule, whole: Tensors, name: str) -> None:
    assert whole.keys() >= OURS
    near(change(motion, lora_from(SPELLINGS[name], "l")), whole, 1.0)


@pytest.mark.parametrize("blocks", ["up_blocks", "mid_block", "down_blocks"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_files_of_some_blocks_alone_are_read(name: str, blocks: str) -> None:
    part = {key: value for key, value in SPELLINGS[name].items() if blocks in key}
    assert len(lora_from(part, "l").factors) == len(part) // 2 >= 5


def test_the_rule_is_of_linear_layers_alone() -> None:
    assert all("norm" not in row.ours and "positions" not in row.ours for row in table().rows)
    assert weight_of("down_blocks.0.motion_modules.0.temporal_transformer.norm") is None
    assert weight_of("down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q") is None
    assert weight_of("down_blocks.1.motion_modules.10.transformer_blocks.0.attn2.to_k") == (
        "down.1.10.out.blocks.0.attentions.1.to_k.weight"
    )


PEFT = SPELLINGS["diffusers with PEFT"]


def adapter(**settings: Any) -> dict[str, str]:
    return {"lora_adapter_metadata": json.dumps({f"unet.{name}": value for name, value in settings.items()})}


HEADERS: dict[str, tuple[dict[str, str], float]] = {
    "nothing": ({}, 1.0),
    "diffusers": (adapter(r=4, lora_alpha=1), 0.25),
    "diffusers, alpha 8": (adapter(r=4, lora_alpha=8), 2.0),
    "diffusers, rsLoRA": (adapter(r=4, lora_alpha=1, use_rslora=True), 0.5),
    "diffusers, beside the text's": (
        {"lora_adapter_metadata": json.dumps({"text_encoder.r": 4, "text_encoder.lora_alpha": 40, "unet.lora_alpha": 2})}, 0.5
    ),
    "PEFT": ({"peft_config": json.dumps({"r": 4, "lora_alpha": 2})}, 0.5),
    "PEFT by adapters": ({"peft_config": json.dumps({"default": {"r": 4, "lora_alpha": 2}})}, 0.5),
    "kohya": ({"ss_network_alpha": "1.0", "ss_network_dim": "4"}, 0.25),
    "kohya, None": ({"ss_network_alpha": "None", "ss_network_dim": "4"}, 1.0),
    "kohya, alone": ({"ss_network_alpha": "2"}, 0.5),
    "others": ({"network_alpha": "1", "network_dim": "4"}, 0.25),
    "others, plain": ({"alpha": "1", "rank": "4"}, 0.25),
    "others, in a table": ({"training_info": '{"step": 1}', "lora_config": '{"rank": 4, "lora_alpha": 6}'}, 1.5),
    "an alpha of something else": ({"alpha": "0.5"}, 1.0),
    "other networks' alone": ({"lora_adapter_metadata": json.dumps({"text_encoder.r": 4, "text_encoder.lora_alpha": 40})}, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_the_scale_stands_in_the_header(tmp_path: Path, motion: MotionModule, whole: Tensors, name: str) -> None:
    header, factor = HEADERS[name]
    save_file({key: value.contiguous() for key, value in PEFT.items()}, tmp_path / "l.safetensors", metadata=header)
    lora = load_lora(tmp_path / "l.safetensors")
    near(change(motion, lora), whole, factor)
    assert any("scaled by" in line for line in lora.notes) == (factor != 1)


def test_patterns_of_alpha_and_rank_belong_to_their_layers(motion: MotionModule) -> None:
    narrow = {key: value[:2] if ".lora_A" in key else value[:, :2] for key, value in PEFT.items() if "to_q" in key}
    header = adapter(r=4, lora_alpha=1, rank_pattern={"to_q": 2}, alpha_pattern={"to_q": 6, r"^mid_block.*\.to_q$": 8})
    changes = change(motion, lora_from(PEFT | narrow, "l", header))
    for key, value in changes.items():
        place = next(p for p in PLACES if weight_of(p) == key)
        down, up = PAIRS[place]
        expected = 3 * up[:, :2] @ down[:2] if "to_q" in key else 0.25 * up @ down
        assert torch.allclose(value, expected, atol=1e-4), key


@pytest.mark.parametrize("name", ["kohya", "PEFT", "published"])
def test_alpha_tensors_come_before_the_header_and_ranks_may_differ(motion: MotionModule, whole: Tensors, name: str) -> None:
    tensors, endings = SPELLINGS[name], r"\.lora_(down|A)\.weight$|_lora\.down\.weight$"
    alphas = {re.sub(endings, ".alpha", key): torch.tensor(2.0) for key in tensors if re.search(endings, key)}
    assert len(alphas) == len(PLACES)
    near(change(motion, lora_from(tensors | alphas, "l", {"ss_network_alpha": "16"})), whole, 0.5)


def test_settings_beside_the_file_are_its_own_or_not_taken(tmp_path: Path, motion: MotionModule, whole: Tensors) -> None:
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps({"peft_type": "LORA", "r": 4, "lora_alpha": 1, "target_modules": ["to_q"]}))
    save_file({key: value.contiguous() for key, value in PEFT.items()}, tmp_path / "adapter_model.safetensors")
    near(change(motion, load_lora(tmp_path / "adapter_model.safetensors")), whole, 0.25)
    near(change(motion, load_lora(tmp_path)), whole, 0.25)
    save_file({key: value.contiguous() for key, value in PEFT.items()}, tmp_path / "another.safetensors")
    near(change(motion, load_lora(tmp_path / "another.safetensors")), whole, 1.0)  # in a folder of many, whose is it?
    config.write_text(json.dumps({"r": 8, "lora_alpha": 1}))
    near(change(motion, load_lora(tmp_path / "adapter_model.safetensors")), whole, 1.0)
    config.write_text("{")
    near(change(motion, load_lora(tmp_path / "adapter_model.safetensors")), whole, 1.0)


def test_torch_files_say_their_scale_beside_the_weights(tmp_path: Path, motion: MotionModule, whole: Tensors) -> None:
    torch.save({"state_dict": PEFT, "lora_config": {"r": 4, "lora_alpha": 1}, "step": 3}, tmp_path / "l.pt")
    near(change(motion, load_lora(tmp_path / "l.pt")), whole, 0.25)
    torch.save({"model": PEFT, "lora_alpha": 2, "optimizer": {}}, tmp_path / "l.pt")
    near(change(motion, load_lora(tmp_path / "l.pt")), whole, 0.5)


IMAGE = {
    f"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q.{name}": noise(4, 4)
    for name in ("lora_down.weight", "lora_up.weight")
}
TEXT = {f"lora_te_text_model_encoder_layers_0_mlp_fc1.{name}.weight": noise(4, 4) for name in ("lora_down", "lora_up")}


@pytest.mark.parametrize("other", [IMAGE, IMAGE | TEXT, {"bundle_emb.cat.string_to_param.*": noise(2, 4)}])
def test_the_motion_part_of_a_file_is_applied_and_the_rest_is_said(
    motion: MotionModule, whole: Tensors, other: Tensors
) -> None:
    lora = lora_from(SPELLINGS["kohya"] | other, "l")
    near(change(motion, lora), whole, 1.0)
    assert any(f"{len(other)} tensors that do not belong to a motion module are left out" in line for line in lora.notes)
    assert any("core's Load LoRA" in line for line in lora.notes) == ("bundle_emb.cat.string_to_param.*" not in other)


Q = "lora_unet_down_blocks_0_motion_modules_0_temporal_transformer_transformer_blocks_0_attention_blocks_0_to_q"
REFUSED: dict[str, tuple[Tensors, dict[str, str], str]] = {
    "DoRA": (SPELLINGS["kohya"] | {f"{Q}.dora_scale": noise(4, 1)}, {}, "a DoRA for a motion module"),
    "DoRA of PEFT": (PEFT | {next(iter(PEFT)).replace("A.weight", "magnitude_vector"): noise(4)}, {}, "a DoRA"),
    "DoRA in the header": (PEFT, adapter(r=4, lora_alpha=1, use_dora=True), "a DoRA .* .lora_adapter_metadata"),
    "LoHa": ({f"{Q}.hada_w{n}_{m}": noise(4, 4) for n in (1, 2) for m in "ab"}, {}, "a LoHa for a motion module"),
    "LoKr": ({f"{Q}.lokr_w{n}": noise(4, 4) for n in (1, 2)}, {}, "a LoKr for a motion module"),
    "OFT": ({f"{Q}.oft_blocks": noise(4, 4)}, {}, "an OFT for a motion module"),
    "Tucker": (SPELLINGS["kohya"] | {f"{Q}.lora_mid.weight": noise(4, 4, 3, 3)}, {}, "a LoCon in Tucker form"),
    "whole differences": ({f"{Q}.diff": noise(4, 4)}, {}, "a difference of whole weights"),
    "convolutions": (
        {f"{Q}.lora_down.weight": noise(4, 32, 3, 3), f"{Q}.lora_up.weight": noise(32, 4, 1, 1)}, {}, "LoRA of convolutions"
    ),
    "half a pair": ({f"{Q}.lora_down.weight": noise(4, 32)}, {}, "one rank, got .4, 32. and none"),
    "two ranks": ({f"{Q}.lora_down.weight": noise(4, 32), f"{Q}.lora_up.weight": noise(32, 5)}, {}, r"\[4, 32\] and \[32, 5\]"),
    "two adapters": (
        {f"unet.{diffusers(PLACES[0])}.lora_{m}.{n}.weight": noise(4, 4) for m in "AB" for n in ("pan", "zoom")}, {},
        "two LoRAs, pan and zoom",
    ),
    "two spellings": (SPELLINGS["kohya"] | PEFT, {}, "two LoRAs"),
    "not a number": ({f"{Q}.lora_down.weight": noise(4, 32) / 0, f"{Q}.lora_up.weight": noise(32, 4)}, {}, "expected finite"),
    "whole numbers": (
        {f"{Q}.lora_{m}.weight": torch.ones(4, 4, dtype=torch.int8) for m in ("down", "up")}, {}, "stored as numbers of"
    ),
    "two alphas": (SPELLINGS["kohya"] | {f"{Q}.alpha": torch.ones(2)}, {}, r"expected one number, got shape \[2\]"),
    "an alpha that is none": (PEFT, {"ss_network_alpha": "much"}, "the LoRA's alpha, a number, got 'much'"),
    "an infinite alpha": (PEFT, adapter(r=4, lora_alpha=float("inf")), "the LoRA's alpha, a number, got 'inf'"),
    "a broken header": (PEFT, {"lora_adapter_metadata": '{"unet.lora_alpha": '}, "header: expected JSON"),
    "a layer that is none": (
        PEFT | {"unet.down_blocks.0.motion_modules.0.norm.lora_A.weight": noise(4, 4)}, {}, "has keys that no LoRA"
    ),
    "something else beside": (PEFT | {"unet.conv_in.weight": noise(4, 4)}, {}, "has keys that no LoRA .*conv_in"),
    "an image LoRA": (IMAGE, {}, "but a LoRA .*load it with core's Load LoRA"),
    "a LoRA for Wan": (
        {f"diffusion_model.blocks.0.cross_attn.k.lora_{m}.weight": noise(4, 4) for m in "AB"}, {},
        "a LoRA for a video transformer .*on a model of that kind",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_other_adapters_and_broken_ones_are_refused_in_words(name: str) -> None:
    tensors, header, words = REFUSED[name]
    with pytest.raises(ValueError, match=words):
        lora_from(tensors, "l", header)


def test_factors_of_1x1_convolutions_are_matrices(motion: MotionModule, whole: Tensors) -> None:
    wide = {key: value[..., None, None] for key, value in SPELLINGS["kohya"].items()}
    near(change(motion, lora_from(wide, "l")), whole, 1.0)


@pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.float16, torch.bfloat16])
def test_fp8_and_half_factors_add_to_fp8_and_half_modules(motion: MotionModule, dtype: torch.dtype) -> None:
    narrow = copy.deepcopy(motion).to(dtype)
    lora = lora_from({key: value.to(dtype) for key, value in PEFT.items()}, "l", {"ss_network_alpha": "1"})
    after = merged(narrow, lora, 1.0)
    key = "down.0.1.out.blocks.0.attentions.0.to_q.weight"
    down, up = (each.to(dtype).float() for each in PAIRS[PLACES[0]])
    wanted = (narrow.state_dict()[key].float() + 0.25 * up @ down).to(dtype).float()
    assert torch.allclose(after.state_dict()[key].float(), wanted, rtol=0.26, atol=0.02)
