"""Files that are no motion module: known by their keys as well, so that an error can say where they belong."""

from collections.abc import Collection
from dataclasses import dataclass

from .keytable import compiled


@dataclass(frozen=True)
class Kind:
    """One sort of file."""

    name: str
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
    Kind("a SparseCtrl", ("controlnet_cond_embedding.conv_in.weight", "{*}motion_modules.{*}"), SPARSECTRL),
    Kind("a SparseCtrl", ("controlnet_cond_embedding.weight", "{*}motion_modules.{*}"), SPARSECTRL),
    Kind("a ControlNet", ("input_hint_block.{}.weight",), "core's Load ControlNet Model takes it (models/controlnet)"),
    Kind("a ControlNet", ("controlnet_cond_embedding.conv_in.weight",), "core's Load ControlNet Model takes it"),
    Kind("LVDM's unconditional video model", ("input_blocks.{}.{}.qkv_t.weight",), "no node runs it yet"),
    Kind("an upscaler checkpoint (SD x4)", ("class_embedding.weight", "down_blocks.{}.resnets.{}.conv1.weight"), UPSCALER),
    Kind("an upscaler checkpoint (SD x4)", ("label_emb.weight", "input_blocks.{}.{}.in_layers.{}.weight"), UPSCALER),
    Kind("an IP-Adapter", ("image_proj.{*}", "ip_adapter.{*}"), PROJECTOR),
    Kind("a SD checkpoint", ("model.diffusion_model.input_blocks.{}.{}.in_layers.{}.weight",), CHECKPOINT),
    Kind("an image UNet", ("input_blocks.{}.{}.in_layers.{}.weight",), DIFFUSION_MODEL),
    Kind("an image UNet", ("down_blocks.{}.resnets.{}.conv1.weight", "time_embedding.{*}"), DIFFUSION_MODEL),
    Kind("a video VAE", ("decoder.{*}.time_stack.{*}",), VAE),
    Kind("a video VAE", ("decoder.{*}temporal_res_block.{*}",), TEMPORAL_VAE),
    Kind("a video VAE", ("decoder.up_blocks.{}.resnets.{}.conv_3d.weight",), TEMPORAL_VAE),
    Kind("a video VAE", ("temporal_vae.{*}",), TEMPORAL_VAE),
    Kind("a video VAE", ("decoder.mid.attn_1.q_t.weight",), TEMPORAL_VAE),
    Kind("a video VAE", ("encoder.conv_blocks.{}.down.conv.weight",), TEMPORAL_VAE),
    Kind("a VAE", ("encoder.{*}", "decoder.{*}"), VAE),
    Kind("a LoRA", ("{*}lora_down.weight",), LORA),
    Kind("a LoRA", ("{*}lokr_w1{*}",), LORA),
    Kind("a LoRA", ("{*}hada_w1_a",), LORA),
    Kind("a LoRA", ("{*}lora_A{*}",), LORA),
    Kind("a LoRA", ("{*}_lora.down.weight",), LORA),
    Kind("a CLIP vision encoder", ("vision_model.encoder.{*}",), "core's Load CLIP Vision takes it (models/clip_vision)"),
    Kind("a CLIP vision encoder", ("visual.transformer.resblocks.{}.attn.in_proj_weight",), "core's Load CLIP Vision takes it"),
    Kind("a transformer diffusion model (Flux and kin)", ("double_blocks.{}.{*}",), DIFFUSION_MODEL),
    Kind("a transformer diffusion model (SD3)", ("joint_blocks.{}.{*}",), DIFFUSION_MODEL),
    Kind("a picture upscaler", ("body.{}.rdb1.conv1.weight",), "core's Load Upscale Model takes it (models/upscale_models)"),
    Kind("a picture upscaler", ("model.1.sub.{}.RDB1.conv1.0.weight",), "core's Load Upscale Model takes it"),
    Kind("a T2I-Adapter", ("body.{}.block1.weight", "body.{}.block2.weight"), "core's Load ControlNet Model takes it"),
    Kind("a CLIP text encoder", ("text_model.encoder.{*}",), "core's Load CLIP takes it (models/text_encoders)"),
    Kind("a CLIP text encoder", ("transformer.resblocks.{}.attn.in_proj_weight",), "core's Load CLIP takes it"),
    Kind("an image UNet without its edges", ("input_blocks.{*}", "output_blocks.{*}"), DIFFUSION_MODEL),
)


def kind_of(keys: Collection[str]) -> Kind | None:
    """The sort of file with these keys; None where even that is unknown."""
    return next((kind for kind in KINDS if all(_occurs(mark, keys) for mark in kind.marks)), None)


def _occurs(mark: str, keys: Collection[str]) -> bool:
    pattern = compiled(mark if mark.startswith("{*}") else "{*}" + mark)
    return any(pattern.fullmatch(key) for key in keys)
