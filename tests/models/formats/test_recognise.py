"""Every sort of file in every loader: what it is recognised by, what is missing, and only then where it belongs."""

import formats
import pytest
import torch
from small_files import FILES, LOADERS, PLACES
from torch import Tensor
from zoetrope.models.formats.recognise import KINDS, kind_of


def keys(*names: str) -> dict[str, Tensor]:
    return {name: torch.ones(2, 2) for name in names}


LORA = ("lora_down.weight", "lora_up.weight")
TEXT_LAYER = "text_model.encoder.layers.0.self_attn.q_proj.weight"
SORTS: dict[str, tuple[dict[str, Tensor], str]] = {
    "image LoRA, kohya": (keys(*(f"lora_unet_down_blocks_0_attentions_0_proj_in.{n}" for n in LORA)), "core's Load LoRA"),
    "image LoRA, PEFT": (keys("unet.down_blocks.0.attentions.0.proj_in.lora_A.weight"), "core's Load LoRA"),
    "image LoRA, up factors alone": (keys("unet.down_blocks.0.attentions.0.proj_in.lora.up.weight"), "core's Load LoRA"),
    "LoHa": (keys("lora_unet_x.hada_w1_a", "lora_unet_x.hada_w1_b"), "core's Load LoRA"),
    "Flux LoRA": (keys("transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight"), "on a model of that kind"),
    "Flux LoRA, kohya": (keys("lora_unet_double_blocks_0_img_attn_qkv.lora_down.weight"), "on a model of that kind"),
    "Wan LoRA": (keys("diffusion_model.blocks.0.cross_attn.k.lora_A.weight"), "on a model of that kind"),
    "Wan LoRA, kohya": (keys("lora_unet_blocks_0_cross_attn_k.lora_down.weight"), "on a model of that kind"),
    "LTX LoRA": (keys("diffusion_model.transformer_blocks.0.attn1.to_q.lora_A.weight"), "on a model of that kind"),
    "LTX LoRA, diffusers": (keys("transformer.transformer_blocks.0.attn1.to_q.lora_A.weight"), "on a model of that kind"),
    "ModelScope LoRA": (keys("unet.down_blocks.0.temp_attentions.0.proj_in.lora_A.weight"), "no node of ComfyUI"),
    "ControlNet": (keys("control_model.input_hint_block.0.weight"), "core's Load ControlNet Model"),
    "ControlNet, diffusers": (keys("controlnet_cond_embedding.conv_in.weight"), "core's Load ControlNet Model"),
    "ControlNet, Flux": (keys("controlnet_blocks.0.weight", "double_blocks.0.x"), "core's Load ControlNet Model"),
    "Control-LoRA": (keys("lora_controlnet", "input_blocks.0.0.down"), "core's Load ControlNet Model"),
    "T2I-Adapter": (keys("body.0.block1.weight", "body.0.block2.weight"), "core's Load ControlNet Model"),
    "checkpoint": (keys("model.diffusion_model.input_blocks.1.0.in_layers.0.weight"), "core's Load Checkpoint"),
    "UNet": (keys("down_blocks.0.resnets.0.conv1.weight", "time_embedding.linear_1.weight"), "core's Load Diffusion Model"),
    "UNet with IP-Adapter": (
        keys("down_blocks.0.attentions.0.transformer_blocks.0.attn2.processor.to_k_ip.0.weight"),
        "save both to separate files",
    ),
    "Wan VAE": (keys("decoder.middle.0.residual.0.gamma", "encoder.conv1.weight"), "core's Load VAE"),
    "LTX VAE": (keys("decoder.up_blocks.0.res_blocks.0.conv1.conv.weight"), "core's Load VAE"),
    "TAESD": (keys("taesd_decoder.1.weight"), "models/vae_approx"),
    "CLIP": (keys(TEXT_LAYER), "with core's Load CLIP "),
    "T5": (
        keys("encoder.block.0.layer.0.SelfAttention.q.weight", "decoder.block.0.x", "shared.weight"),
        "with core's Load CLIP ",
    ),
    "Qwen": (keys("model.layers.0.self_attn.q_proj.weight"), "with core's Load CLIP "),
    "CLIP vision": (keys("vision_model.encoder.layers.0.self_attn.q_proj.weight"), "core's Load CLIP Vision"),
    "embedding": (keys("emb_params"), "embedding:NAME"),
    "embedding, SDXL": (keys("clip_g", "clip_l"), "embedding:NAME"),
    "embedding, diffusers": (keys("<cat-toy>"), "embedding:NAME"),
    "Flux": (keys("double_blocks.0.img_attn.qkv.weight", "single_blocks.0.linear1.weight"), "core's Load Diffusion Model"),
    "Wan": (keys("blocks.0.cross_attn.norm_k.weight", "head.modulation"), "core's Load Diffusion Model"),
    "LTX": (keys("patchify_proj.weight", "transformer_blocks.0.attn1.to_q.weight"), "core's Load Diffusion Model"),
    "Cosmos": (keys("net.blocks.block0.blocks.0.block.attn.to_q.0.weight"), "core's Load Diffusion Model"),
    "Cosmos Predict2": (
        keys("net.blocks.0.mlp.layer1.weight", "net.blocks.0.self_attn.q_proj.weight"),
        "core's Load Diffusion Model",
    ),
    "HunyuanVideo": (keys("txt_in.individual_token_refiner.blocks.0.norm1.weight"), "core's Load Diffusion Model"),
    "CogVideoX": (keys("transformer_blocks.0.norm1.linear.weight", "patch_embed.proj.weight"), "core's Load Diffusion Model"),
    "SD3": (keys("joint_blocks.0.x_block.attn.qkv.weight"), "core's Load Diffusion Model"),
    "Qwen-Image": (keys("txt_norm.weight", "transformer_blocks.0.attn.add_k_proj.weight"), "core's Load Diffusion Model"),
    "ESRGAN": (keys("model.1.sub.0.RDB1.conv1.0.weight"), "core's Load Upscale Model"),
    "SwinIR": (keys("layers.0.residual_group.blocks.0.attn.qkv.weight"), "core's Load Upscale Model"),
}


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("sort", SORTS)
def test_a_sort_of_file_is_told_by_a_key_and_then_where_it_belongs(sort: str, loader: str) -> None:
    tensors, place = SORTS[sort]
    with pytest.raises(ValueError, match=place) as error:
        LOADERS[loader](tensors)
    diagnose = str(error.value)
    assert "recognised by" in diagnose
    assert "no key such as" in diagnose
    assert diagnose.index("recognised by") < diagnose.index("no key such as") < diagnose.index(place)
    assert any(key in diagnose for key in tensors)
    assert "again" not in diagnose


@pytest.mark.parametrize("loader", LOADERS)
@pytest.mark.parametrize("sort", FILES)
def test_our_own_sorts_are_told_apart(sort: str, loader: str) -> None:
    if sort == loader:
        assert LOADERS[loader](FILES[sort]())
        return
    with pytest.raises(ValueError, match=PLACES[sort]):
        LOADERS[loader](FILES[sort]())


LISTS = (
    "animatediff_v3", "hotshotxl", "motion_lora_v2", "animatediff_v3_domain_adapter", "sparsectrl_rgb_v3", "ip_adapter_sd15",
    "sd_vae_kl", "pasd_controlnet", "stablesr_webui", "open_clip_vit_h_14_ldm",
)  # fmt: skip
OWN = {
    "motion": "Load Motion Module",
    "sparsectrl": "Load SparseCtrl",
    "projector": "Load Image Projector",
    "lora": "Motion LoRA",
}


@pytest.mark.parametrize("name", formats.names())
def test_every_published_list_has_its_kind(name: str) -> None:
    assert kind_of(formats.published(name))


@pytest.mark.parametrize("loader", OWN)
def test_no_loader_advises_itself(loader: str) -> None:
    refused = 0
    for name in LISTS:
        diagnose = ""
        try:
            LOADERS[loader](formats.published(name))
        except ValueError as error:
            diagnose = str(error)
        refused += bool(diagnose)
        assert OWN[loader] not in diagnose.partition(": ")[2]
    assert refused >= 7


MOTION = "lora_unet_down_blocks_0_motion_modules_0_temporal_transformer_transformer_blocks_0_attention_blocks_0_to_q"


@pytest.mark.parametrize("loader", LOADERS)
def test_other_adapters_of_motion_modules_are_not_sent_where_they_are_not_read(loader: str) -> None:
    for tensors in (keys(f"{MOTION}.hada_w1_a", f"{MOTION}.hada_w1_b"), keys(f"{MOTION}.lokr_w1")):
        with pytest.raises(ValueError, match="Apply Motion LoRA reads plain LoRAs"):
            LOADERS[loader](tensors)


HALVES = {
    "motion": lambda key: "to_q" not in key or "attention_blocks.0" in key,
    "projector": lambda key: not key.startswith("image_proj"),
    "vae": lambda key: key.startswith("decoder"),
}


@pytest.mark.parametrize("sort", HALVES)
def test_half_of_the_wanted_sort_is_told_as_that_and_sent_nowhere(sort: str) -> None:
    half = {key: value for key, value in FILES[sort]().items() if HALVES[sort](key)}
    with pytest.raises(ValueError, match=r"this looks like .*(lacks|no key such as|do not make a complete)") as error:
        LOADERS[sort](half)
    assert "load it with" not in str(error.value)


def test_a_file_that_no_row_fits_is_sent_nowhere() -> None:
    for open_ in LOADERS.values():
        with pytest.raises(ValueError, match=r"supports\. Expected keys of .*; got some\.thing") as error:
            open_(keys("some.thing"))
        assert "load it with" not in str(error.value)


def test_every_row_is_a_place_of_words() -> None:
    for kind in KINDS:
        assert kind.name.startswith(("a ", "an ", "the ", "half ", "part ", "LVDM")), kind
        assert kind.place
        assert kind.marks
