"""Files that are no motion module: known by their keys as well, so that an error can say where they belong."""

from collections.abc import Collection
from dataclasses import dataclass

from .keytable import compiled


@dataclass(frozen=True)
class Kind:
    """One sort of file."""

    id: str
    """What code tells it by."""
    name: str
    """What people read, with its article."""
    marks: tuple[str, ...]
    """Published spellings; each occurs among the keys of such a file, after any prefix."""
    place: str
    """Where it goes."""


SPARSECTRL = "Load SparseCtrl takes it (models/controlnet)"
PROJECTOR = "Load Image Projector takes it (models/ipadapter)"
UPSCALER = "Load Video Upscaler takes it (models/checkpoints or diffusion_models)"
TEMPORAL_VAE = "Load Temporal VAE takes it (models/vae)"
LORA = "core's Load LoRA takes it (models/loras)"
VAE = "core's Load VAE takes it (models/vae)"
CHECKPOINT = "core's Load Checkpoint takes it (models/checkpoints)"
DIFFUSION_MODEL = "core's Load Diffusion Model takes it (models/diffusion_models)"

KINDS = (
    Kind("sparsectrl", "a SparseCtrl", ("controlnet_cond_embedding.conv_in.weight", "{*}motion_modules.{*}"), SPARSECTRL),
    Kind("sparsectrl", "a SparseCtrl", ("controlnet_cond_embedding.weight", "{*}motion_modules.{*}"), SPARSECTRL),
    Kind(
        "controlnet",
        "a ControlNet",
        ("input_hint_block.{}.weight",),
        "core's Load ControlNet Model takes it (models/controlnet)",
    ),
    Kind("controlnet", "a ControlNet", ("controlnet_cond_embedding.conv_in.weight",), "core's Load ControlNet Model takes it"),
    Kind("lvdm_unconditional", "LVDM's unconditional video model", ("input_blocks.{}.{}.qkv_t.weight",), "no node runs it yet"),
    Kind(
        "x4_upscaler",
        "an upscaler checkpoint (SD x4)",
        ("class_embedding.weight", "down_blocks.{}.resnets.{}.conv1.weight"),
        UPSCALER,
    ),
    Kind(
        "x4_upscaler",
        "an upscaler checkpoint (SD x4)",
        ("label_emb.weight", "input_blocks.{}.{}.in_layers.{}.weight"),
        UPSCALER,
    ),
    Kind("image_prompt", "an IP-Adapter", ("image_proj.{*}", "ip_adapter.{*}"), PROJECTOR),
    Kind("sd_checkpoint", "a SD checkpoint", ("model.diffusion_model.input_blocks.{}.{}.in_layers.{}.weight",), CHECKPOINT),
    Kind("image_unet", "an image UNet", ("input_blocks.{}.{}.in_layers.{}.weight",), DIFFUSION_MODEL),
    Kind("image_unet", "an image UNet", ("down_blocks.{}.resnets.{}.conv1.weight", "time_embedding.{*}"), DIFFUSION_MODEL),
    Kind("video_vae", "a video VAE", ("decoder.{*}.time_stack.{*}",), VAE),
    Kind("video_vae", "a video VAE", ("decoder.{*}temporal_res_block.{*}",), TEMPORAL_VAE),
    Kind("video_vae", "a video VAE", ("decoder.up_blocks.{}.resnets.{}.conv_3d.weight",), TEMPORAL_VAE),
    Kind("video_vae", "a video VAE", ("temporal_vae.{*}",), TEMPORAL_VAE),
    Kind("video_vae", "a video VAE", ("decoder.mid.attn_1.q_t.weight",), TEMPORAL_VAE),
    Kind("video_vae", "a video VAE", ("encoder.conv_blocks.{}.down.conv.weight",), TEMPORAL_VAE),
    Kind("vae", "a VAE", ("encoder.{*}", "decoder.{*}"), VAE),
    Kind("lora", "a LoRA", ("{*}lora_down.weight",), LORA),
    Kind("lora", "a LoRA", ("{*}lokr_w1{*}",), LORA),
    Kind("lora", "a LoRA", ("{*}hada_w1_a",), LORA),
    Kind("lora", "a LoRA", ("{*}lora_A{*}",), LORA),
    Kind("lora", "a LoRA", ("{*}_lora.down.weight",), LORA),
    Kind(
        "clip_vision",
        "a CLIP vision encoder",
        ("vision_model.encoder.{*}",),
        "core's Load CLIP Vision takes it (models/clip_vision)",
    ),
    Kind(
        "clip_vision",
        "a CLIP vision encoder",
        ("visual.transformer.resblocks.{}.attn.in_proj_weight",),
        "core's Load CLIP Vision takes it",
    ),
    Kind("flux", "a transformer diffusion model (Flux and kin)", ("double_blocks.{}.{*}",), DIFFUSION_MODEL),
    Kind("sd3", "a transformer diffusion model (SD3)", ("joint_blocks.{}.{*}",), DIFFUSION_MODEL),
    Kind(
        "picture_upscaler",
        "a picture upscaler",
        ("body.{}.rdb1.conv1.weight",),
        "core's Load Upscale Model takes it (models/upscale_models)",
    ),
    Kind(
        "picture_upscaler", "a picture upscaler", ("model.1.sub.{}.RDB1.conv1.0.weight",), "core's Load Upscale Model takes it"
    ),
    Kind(
        "t2i_adapter",
        "a T2I-Adapter",
        ("body.{}.block1.weight", "body.{}.block2.weight"),
        "core's Load ControlNet Model takes it",
    ),
    Kind("clip_text", "a CLIP text encoder", ("text_model.encoder.{*}",), "core's Load CLIP takes it (models/text_encoders)"),
    Kind("clip_text", "a CLIP text encoder", ("transformer.resblocks.{}.attn.in_proj_weight",), "core's Load CLIP takes it"),
    Kind("bare_unet", "an image UNet without its edges", ("input_blocks.{*}", "output_blocks.{*}"), DIFFUSION_MODEL),
)


def kind_of(keys: Collection[str]) -> Kind | None:
    """The sort of file with these keys; None where even that is unknown."""
    return next((kind for kind in KINDS if all(_occurs(mark, keys) for mark in kind.marks)), None)


def _occurs(mark: str, keys: Collection[str]) -> bool:
    pattern = compiled(mark if mark.startswith("{*}") else "{*}" + mark)
    return any(pattern.fullmatch(key) for key in keys)
