"""Every published key list at full size: known by its keys, mapped without one missing or left over, and mapped back."""

import formats
import parity
import pytest
import torch
from lvdm_unet import TABLE as LVDM_TABLE
from lvdm_unet import load_lvdm
from zoetrope.models.formats.ldm import diffusers_table
from zoetrope.models.formats.recognise import kind_of
from zoetrope.models.formats.strict import spell
from zoetrope.models.motion.families import FAMILIES, detect
from zoetrope.models.motion.families.animatediff.lora import is_motion_lora, lora_from
from zoetrope.models.motion.loading import take_apart

LISTS = {
    "animatediff_v1": ("animatediff", "v1", "SD1.x", {}),
    "animatediff_v2": ("animatediff", "v2", "SD1.x", {}),
    "animatediff_v3": ("animatediff", "v3", "SD1.x", {}),
    "animatediff_sdxl_beta": ("animatediff", "SDXL beta", "SDXL", {}),
    "animatelcm": ("animatediff", "AnimateLCM", "SD1.x", {}),
    "animatelcm_i2v": ("animatediff", "AnimateLCM-I2V", "SD1.x", {"image": 38}),
    "pia": ("animatediff", "PIA", "SD1.x", {"image": 2}),
    "diffusers_motion_adapter_v1": ("animatediff", "v1", "SD1.x", {}),
    "diffusers_motion_adapter_v1_5_2": ("animatediff", "v2", "SD1.x", {}),
    "diffusers_motion_adapter_v3": ("animatediff", "v3", "SD1.x", {}),
    "diffusers_motion_adapter_sdxl_beta": ("animatediff", "SDXL beta", "SDXL", {}),
    "diffusers_motion_adapter_pia": ("animatediff", "PIA", "SD1.x", {"image": 2}),
    "hotshotxl": ("hotshotxl", "v1", "SDXL", {}),
    "videocrafter1_t2v_512": ("videocrafter", "VideoCrafter1 T2V 512", "SD2.x", {"unet": 686, "vae": 248, "buffer": 12}),
    "videocrafter1_t2v_1024": ("videocrafter", "VideoCrafter1 T2V 1024", "SD2.x", {"unet": 686, "vae": 248, "buffer": 13}),
    "videocrafter1_i2v_512": (
        "videocrafter", "VideoCrafter1 I2V 512", "SD2.x",
        {"unet": 686, "vae": 248, "buffer": 13, "image": 32, "projector": 51},
    ),
    "videocrafter2_t2v_512": ("videocrafter", "VideoCrafter2 T2V 512", "SD2.x", {"unet": 686, "vae": 248, "buffer": 13}),
    "dynamicrafter_256": (
        "videocrafter", "DynamiCrafter 256", "SD2.x",
        {"unet": 686, "vae": 248, "buffer": 12, "image": 49, "projector": 51},
    ),
    "dynamicrafter_512": (
        "videocrafter", "DynamiCrafter 512", "SD2.x",
        {"unet": 686, "vae": 248, "buffer": 13, "image": 33, "projector": 51},
    ),
    "dynamicrafter_512_interp": (
        "videocrafter", "DynamiCrafter 512", "SD2.x",
        {"unet": 686, "vae": 248, "buffer": 13, "image": 33, "projector": 51},
    ),
    "dynamicrafter_1024": (
        "videocrafter", "DynamiCrafter 1024", "SD2.x",
        {"unet": 686, "vae": 248, "buffer": 13, "image": 33, "projector": 51},
    ),
    "modelscope_t2v_original": ("modelscope", "T2V", "SD2.x", {"unet": 686}),
    "modelscope_t2v_diffusers": ("modelscope", "T2V", "SD2.x", {"unet": 686}),
    "lavie_base": ("lavie", "LaVie base", "SD1.x", {"unet": 686, "buffer": 16}),
    "lavie_interpolation": ("lavie", "LaVie interpolation", "SD1.x", {"unet": 686, "image": 1}),
    "seine": ("lavie", "SEINE", "SD1.x", {"unet": 686, "image": 1, "buffer": 16}),
    "svd_xt": ("svd", "14 or 25 frames", "SD2.x", {"unet": 690, "image": 1, "vae": 372, "vision": 646}),
    "svd_xt_unet_diffusers": ("svd", "14 or 25 frames", "SD2.x", {"unet": 690, "image": 1}),
    "lvdm_text2video": ("lvdm", "text-to-video", "SD1.x", {"unet": 686}),
    "upscale_a_video_unet": ("upscale_a_video", "v1", "SD x4 upscaler", {"unet": 687, "buffer": 17}),
    "lavie_vsr": ("lavie_vsr", "v1", "SD x4 upscaler", {"unet": 687, "buffer": 17}),
}  # fmt: skip
"""List -> family, member, base model, keys per other part of the file."""

OTHERS = {
    "sd_vae_kl": "Load VAE",
    "svd_temporal_decoder_diffusers": "Load Temporal VAE",
    "sd_x4_upscaler_vae": "Load VAE",
    "upscale_a_video_vae_3d": "VAE",
    "upscale_a_video_vae_video": "Load Temporal VAE",
    "cv_vae": "Load Temporal VAE",
    "opensora_v1_2_vae": "Load Temporal VAE",
    "ip_adapter_sd15": "IP-Adapter",
    "ip_adapter_plus_sd15": "IP-Adapter",
    "ip_adapter_sdxl": "IP-Adapter",
    "sd_x4_upscaler_unet": "upscaler",
    "sd_x4_upscaler_unet_ldm": "upscaler",
    "sparsectrl_rgb_v3": "SparseCtrl",
    "sparsectrl_scribble_v3": "SparseCtrl",
    "diffusers_sparsectrl_rgb": "SparseCtrl",
    "diffusers_sparsectrl_scribble": "SparseCtrl",
    "open_clip_vit_h_14_ldm": "Load CLIP",
    "motion_lora_v2": "Apply Motion LoRA",
    "animatediff_v3_domain_adapter": "Apply Motion LoRA",
    "lvdm_short": "LVDM",
}


def test_a_whole_motion_unet_of_diffusers_is_not_taken_for_pia() -> None:
    """UNetMotionModel saves its image UNet along, first convolution included."""
    spatial = {k: v for k, v in formats.published("lavie_base").items() if "_temp" not in k}
    assert len(diffusers_table(spatial).rename(spatial)[0]) == 686
    for name, member in (("diffusers_motion_adapter_v3", "v3"), ("diffusers_motion_adapter_v1_5_2", "v2")):
        opened = take_apart(formats.published(name) | spatial, {}, "unet", 0)
        assert (opened.report.variant.name, opened.report.variant.clip_norms) == (member, ())
        assert dict(opened.report.parts) == {"unet": 686}
    wide = spatial | {"conv_in.weight": torch.empty(320, 9, 3, 3, device="meta")}
    opened = take_apart(formats.published("diffusers_motion_adapter_v3") | wide, {}, "unet", 0)
    assert (opened.report.variant.name, dict(opened.report.parts)) == ("PIA", {"unet": 686, "image": 1})


def test_dynamicrafter_512_and_1024_without_their_buffer_are_not_guessed_silently() -> None:
    tensors = {k: v for k, v in formats.published("dynamicrafter_1024").items() if k != "scale_arr"}
    variant = take_apart(tensors, {}, "pruned", 0).report.variant
    assert variant.name == "DynamiCrafter 512 or 1024"
    assert "cannot be distinguished" in variant.notes[0]


def test_lvdms_file_may_hold_its_text_encoder_and_vae() -> None:
    more = {f"{part}.x.weight": torch.empty(3, device="meta") for part in ("first_stage_model", "cond_stage_model")}
    opened = take_apart(formats.published("lvdm_text2video") | more, {}, "lvdm", 0)
    assert dict(opened.report.parts) == {"unet": 686, "vae": 1, "text": 1}
    assert opened.report.lacks == ()
    assert take_apart(formats.published("lvdm_text2video"), {}, "lvdm", 0).report.lacks == ("CLIP", "VAE")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (["vision_model.encoder.layers.0.self_attn.q_proj.weight"], "Load CLIP Vision"),
        (["double_blocks.0.img_attn.qkv.weight"], "Load Diffusion Model"),
        (["joint_blocks.0.x_block.attn.qkv.weight"], "Load Diffusion Model"),
        (["model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"], "Load Upscale Model"),
        (["conv_first.weight", "body.0.rdb1.conv1.weight"], "Load Upscale Model"),
        (["lora_unet_x.lokr_w1", "lora_unet_x.lokr_w2"], "Load LoRA"),
    ],
)
def test_common_files_of_other_kinds_are_told_where_they_belong(keys: list[str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        take_apart({key: torch.empty(1, device="meta") for key in keys}, {}, "any", 0)


def with_scale_values(name: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """DynamiCrafter 512 and 1024 differ in the values of one buffer alone; its last value is what their configs say."""
    if "scale_arr" in tensors and name.startswith("dynamicrafter"):
        tensors["scale_arr"] = torch.full(tensors["scale_arr"].shape, 0.3 if "1024" in name else 0.7)
    return tensors


@pytest.mark.parametrize("name", LISTS)
def test_known_mapped_and_mapped_back(name: str) -> None:
    family, member, base, parts = LISTS[name]
    tensors = with_scale_values(name, formats.published(name))
    opened = take_apart(tensors, {}, "any name.safetensors", 0)  # strict: raises on keys missing or unexpected
    assert (opened.report.family, opened.report.variant.name, opened.report.fits) == (family, member, (base,))
    assert dict(opened.report.parts) == parts
    found = detect(tensors)
    assert found
    spelled = spell(found, tensors)
    back = spelled.published()
    assert {key: tuple(value.shape) for key, value in back.items()} == {k: tuple(v.shape) for k, v in tensors.items()}
    parity.mapped(opened.report.title, member, name, len(tensors), len(opened.report.widths))


@pytest.mark.parametrize("name", LISTS)
def test_one_family_alone_knows_it_whatever_stands_before_its_keys(name: str) -> None:
    tensors = formats.published(name)
    assert [family.name for family in FAMILIES if family.spelling(tensors)] == [LISTS[name][0]]
    if "unet" not in LISTS[name][3] or name in ("lavie_base", "modelscope_t2v_original", "svd_xt_unet_diffusers"):
        moved = {f"somewhere.{key}": value for key, value in tensors.items()}
        assert take_apart(moved, {}, "m", 0).report.family == LISTS[name][0]


@pytest.mark.parametrize("name", OTHERS)
def test_other_files_are_told_where_they_belong(name: str) -> None:
    tensors = formats.published(name)
    assert detect(tensors) is None
    with pytest.raises(ValueError, match=OTHERS[name]):
        take_apart(tensors, {}, "any name.safetensors", 0)
    assert is_motion_lora(tensors) or kind_of(tensors)


@pytest.mark.parametrize("name", ["videocrafter2_t2v_512", "videocrafter1_t2v_1024", "dynamicrafter_512"])
def test_videocrafters_split_is_the_recorded_one(name: str) -> None:
    """Which of its keys are Stable Diffusion's, which are temporal, and how 14 of them are renumbered."""
    split = formats.record("videocrafter_spatial_temporal_split")[name]
    tensors = formats.published(name)
    prefix = "model.diffusion_model."
    family = detect(tensors)
    assert family
    table = spell(family, tensors).table
    ours = {key.removeprefix(prefix): str(table.ours(key)) for key in tensors if key.startswith(prefix)}
    renumbered = {key: to.removeprefix("unet:") for key, to in ours.items() if to.startswith("unet:") and to != f"unet:{key}"}
    assert renumbered == split["renumbered"]
    assert {key for key, to in ours.items() if ":" not in to} == set(split["temporal"])
    assert {key for key, to in ours.items() if to.startswith("image:")} - {"input_blocks.0.0.weight"} == set(
        split["image_branch_only"]
    )
    assert sum(to.startswith("unet:") for to in ours.values()) == split["sd21_keys"]


@pytest.mark.parametrize(
    ("record", "one", "other"),
    [
        ("keymap_modelscope_original_to_diffusers", "modelscope_t2v_original", "modelscope_t2v_diffusers"),
        ("keymap_svd_unet_ldm_to_diffusers", "svd_xt", "svd_xt_unet_diffusers"),
    ],
)
def test_two_spellings_of_one_file_meet_in_ours(record: str, one: str, other: str) -> None:
    pairs = formats.record(record)["map"]
    here, there = formats.published(one), formats.published(other)
    prefix = "model.diffusion_model." if any(key.startswith("model.diffusion_model.") for key in here) else ""
    tables = []
    for tensors in (here, there):
        family = detect(tensors)
        assert family
        tables.append(spell(family, tensors).table)
    assert len(pairs) == len(there)
    for key, twin in pairs.items():
        published = key if key.startswith(prefix) else prefix + key
        assert tables[0].ours(published) == tables[1].ours(twin), key


def test_the_x4_upscalers_two_spellings_meet_in_ldms() -> None:
    pairs = formats.record("keymap_x4_upscaler_unet_ldm_to_diffusers")["map"]
    ldm, diffusers = formats.published("sd_x4_upscaler_unet_ldm"), formats.published("sd_x4_upscaler_unet")
    prefix = "model.diffusion_model."
    renamed, unexpected = diffusers_table(diffusers).rename(diffusers)
    assert unexpected == []
    ours = {prefix + key.removeprefix("unet:"): value for key, value in renamed.items()}
    assert {key: tuple(value.shape) for key, value in ours.items()} == {key: tuple(value.shape) for key, value in ldm.items()}
    table = diffusers_table(diffusers)
    for key, twin in pairs.items():
        assert prefix + (table.ours(twin) or "").removeprefix("unet:") == prefix + key.removeprefix(prefix), key
    assert table.restore(renamed).keys() == diffusers.keys()
    parity.mapped("SD x4 upscaler", "diffusers", "sd_x4_upscaler_unet", len(diffusers), 0)
    parity.mapped("SD x4 upscaler", "ldm", "sd_x4_upscaler_unet_ldm", len(ldm), 0)


@pytest.mark.parametrize("name", ["motion_lora_v2", "animatediff_v3_domain_adapter"])
def test_loras_are_taken_apart_whole(name: str) -> None:
    tensors = formats.published(name)
    lora = lora_from(tensors, name)
    assert 2 * len(lora.factors) + len(lora.spatial) == len(tensors)
    assert bool(lora.spatial) == (name == "animatediff_v3_domain_adapter")


def test_the_peft_spelling_of_a_motion_lora_is_the_same_lora() -> None:
    tensors = formats.published("motion_lora_v2")
    peft = {}
    for key, value in tensors.items():
        for theirs, half in ((".down.", "lora_A"), (".up.", "lora_B")):
            if theirs in key:
                place, _, name = key.replace(f"_lora{theirs}weight", "").rpartition(".processor.")
                name = "to_out.0" if name == "to_out" else name
                place = place.replace(".temporal_transformer", "").replace("attention_blocks.0", "attn1")
                peft[f"unet.{place.replace('attention_blocks.1', 'attn2')}.{name}.{half}.weight"] = value
    assert len(peft) == len(tensors)
    ours, theirs = lora_from(tensors, "a"), lora_from(peft, "b")
    assert ours.factors.keys() == theirs.factors.keys()


def test_lvdms_unconditional_file_fills_its_network_and_maps_back() -> None:
    tensors = formats.published("lvdm_short")
    unet = load_lvdm(tensors)
    ours, unexpected = LVDM_TABLE.rename(tensors)
    assert not unexpected
    assert {key for key in ours if ":" not in key} == set(unet.state_dict())
    back = LVDM_TABLE.restore(ours)
    assert {key: tuple(value.shape) for key, value in back.items()} == {k: tuple(v.shape) for k, v in tensors.items()}
    parity.mapped("LVDM", "unconditional (a network of its own)", "lvdm_short", len(tensors), 0)
