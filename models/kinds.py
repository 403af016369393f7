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


LATER = "Zoetrope does not use it yet"
CHECKPOINT = "core's Load Checkpoint takes it (models/checkpoints)"
DIFFUSION_MODEL = "core's Load Diffusion Model takes it (models/diffusion_models)"

KINDS = (
    Kind("a SparseCtrl", ("controlnet_cond_embedding.conv_in.weight", "{*}motion_modules.{*}"), LATER),
    Kind("a SparseCtrl", ("controlnet_cond_embedding.weight", "{*}motion_modules.{*}"), LATER),
    Kind("a ControlNet", ("input_hint_block.{}.weight",), "core's Load ControlNet Model takes it (models/controlnet)"),
    Kind("a ControlNet", ("controlnet_cond_embedding.conv_in.weight",), "core's Load ControlNet Model takes it"),
    Kind("LVDM's unconditional video model", ("input_blocks.{}.{}.qkv_t.weight",), "no node runs it yet"),
    Kind("a video upscaler (Upscale-A-Video)", ("down_temp_blocks.{}.shift_conv.weight",), LATER),
    Kind("a video upscaler (LaVie-VSR)", ("down_temporal_blocks.{}.shift_conv.weight",), LATER),
    Kind("an upscaler checkpoint (SD x4)", ("class_embedding.weight", "down_blocks.{}.resnets.{}.conv1.weight"), LATER),
    Kind("an upscaler checkpoint (SD x4)", ("label_emb.weight", "input_blocks.{}.{}.in_layers.{}.weight"), LATER),
    Kind("an IP-Adapter", ("image_proj.{*}", "ip_adapter.{*}"), LATER),
    Kind("a SD checkpoint", ("model.diffusion_model.input_blocks.{}.{}.in_layers.{}.weight",), CHECKPOINT),
    Kind("an image UNet", ("input_blocks.{}.{}.in_layers.{}.weight",), DIFFUSION_MODEL),
    Kind("an image UNet", ("down_blocks.{}.resnets.{}.conv1.weight", "time_embedding.{*}"), DIFFUSION_MODEL),
    Kind("a video VAE", ("decoder.{*}.time_stack.{*}",), "core's Load VAE takes it (models/vae)"),
    Kind("a video VAE", ("decoder.{*}temporal_res_block.{*}",), LATER),
    Kind("a video VAE", ("decoder.up_blocks.{}.resnets.{}.conv_3d.weight",), LATER),
    Kind("a video VAE", ("temporal_vae.{*}",), LATER),
    Kind("a VAE", ("encoder.{*}", "decoder.{*}"), "core's Load VAE takes it (models/vae)"),
    Kind("a LoRA", ("{*}lora_down.weight",), "core's Load LoRA takes it (models/loras)"),
    Kind("a LoRA", ("{*}lora_A{*}",), "core's Load LoRA takes it (models/loras)"),
    Kind("a LoRA", ("{*}_lora.down.weight",), "core's Load LoRA takes it (models/loras)"),
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
