"""Kinds of model files as a table: keys, name, and the node that loads them. The first row whose marks all occur is used.

Key names: ComfyUI 0.25 (`comfy/model_detection.py`, `sd.py`, `controlnet.py`, `clip_vision.py`), diffusers 0.42, kohya's and
PEFT's LoRAs, and the key lists that the tests have.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of model file."""

    id: str
    """Identifier for comparisons in code."""
    name: str
    """Name in messages, with its article."""
    marks: tuple[str, ...]
    """Patterns of published keys; each occurs among the keys of such a file, after any prefix."""
    place: str
    """The node that loads it and the folder it belongs to, as a clause for messages."""


def kinds(id: str, name: str, place: str, *marks: tuple[str, ...]) -> tuple[Kind, ...]:
    """Rows of one kind in several spellings. marks: those of each spelling."""
    return tuple(Kind(id, name, each, place) for each in marks)


SPARSECTRL = "load it with Load SparseCtrl (models/controlnet)"
PROJECTOR = "load it with Load Image Projector (models/ipadapter)"
UPSCALER = "load it with Load Video Upscaler (models/checkpoints or diffusion_models)"
TEMPORAL_VAE = "load it with Load Temporal VAE (models/vae)"
MOTION = "load it with Load Motion Module (models/animatediff_models)"
MOTION_LORA = "load it with Apply Motion LoRA (models/animatediff_motion_lora)"
VIDEO = "load it with Load Video Checkpoint (models/checkpoints or diffusion_models)"
LORA = "load it with core's Load LoRA (models/loras)"
LORA_OF_KIND = "load it with core's Load LoRA, on a model of that kind (models/loras)"
NOBODY = "no node of ComfyUI or of this pack loads it"
VAE = "load it with core's Load VAE (models/vae)"
CHECKPOINT = "load it with core's Load Checkpoint (models/checkpoints)"
DIFFUSION_MODEL = "load it with core's Load Diffusion Model (models/diffusion_models)"
CONTROLNET = "load it with core's Load ControlNet Model (models/controlnet)"
PICTURE_UPSCALER = "load it with core's Load Upscale Model (models/upscale_models)"
TEXT = "load it with core's Load CLIP (models/text_encoders)"
VISION = "load it with core's Load CLIP Vision (models/clip_vision)"
VISION_BARE = "add the prefix visual. to its keys and load it with core's Load CLIP Vision (models/clip_vision)"
EMBEDDING = "use it in a prompt as embedding:NAME (models/embeddings)"

S_LAB = "no node loads it yet: this pack recognises its keys, its network is to come; S-Lab License 1.0, not for commercial use"
APACHE = "no node loads it yet: this pack recognises its keys, its network is to come; Apache-2.0"
RESTORATION = "load it with Load Restoration Control (models/controlnet)"

RESTORERS = (
    *kinds("restorer", "the UNet of MGLD-VSR, a video restorer", S_LAB,
           ("structcond_stage_model.{*}", "middle_block.{}.temporal_conv.weight")),
    *kinds("restorer", "the image restorer StableSR", S_LAB, ("structcond_stage_model.{*}",)),
    *kinds("restorer", "the VAE of MGLD-VSR, a video restorer", S_LAB,
           ("decoder.fusion_layer_{}.{*}", "decoder.temporal_mixing.temporal_conv.weight")),
    *kinds("restorer", "the VAE of StableSR (controllable feature wrapping)", S_LAB, ("decoder.fusion_layer_{}.{*}",)),
    *kinds("restorer", "the ControlNet of SeeSR, an image restorer", APACHE,
           ("controlnet_cond_embedding.conv_in.weight", "down_blocks.{}.image_attentions.{*}")),
    *kinds("restorer", "the UNet of SeeSR, an image restorer", APACHE, ("down_blocks.{}.image_attentions.{*}",)),
    *kinds("restorer", "the ControlNet of PASD, an image restorer", APACHE, ("controlnet_cond_embedding.to_rgbs.{}.weight",)),
    *kinds("restorer", "the UNet of PASD, an image restorer", APACHE,
           ("up_blocks.{}.pixel_attentions.{*}",), ("up_blocks.{}.{*}attn2_plus.to_q.weight",)),
    *kinds("diffbir", "the restoration control of DiffBIR", RESTORATION,
           ("zero_convs.{}.{}.weight", "middle_block_out.{}.weight")),
)  # fmt: skip
GUIDES = (
    *kinds("sparsectrl", "a SparseCtrl", SPARSECTRL,
           ("controlnet_cond_embedding.conv_in.weight", "{*}motion_modules.{*}"),
           ("controlnet_cond_embedding.weight", "{*}motion_modules.{*}")),
    *kinds("controlnet", "a ControlNet", CONTROLNET,
           ("input_hint_block.{}.weight",), ("controlnet_cond_embedding.conv_in.weight",), ("controlnet_blocks.{}.weight",),
           ("controlnet_down_blocks.{}.weight",), ("control_blocks.{}.after_proj.weight",), ("after_proj_list.{}.weight",)),
    *kinds("controlnet", "a Control-LoRA", CONTROLNET, ("lora_controlnet",)),
    *kinds("controlnet", "a ControlNet", CONTROLNET, ("zero_convs.{}.{}.weight",)),
)  # fmt: skip
LORAS = (
    *kinds("motion_lora", "a LoHa, LoKr or another kind of adapter for a motion module",
           "it is not supported; Apply Motion LoRA reads plain LoRAs (models/animatediff_motion_lora)",
           ("{*}motion_modules{*}hada_{*}",), ("{*}motion_modules{*}lokr_{*}",), ("{*}motion_modules{*}oft_{*}",)),
    *kinds("motion_lora", "a LoRA for a motion module", MOTION_LORA,
           ("{*}motion_modules{*}lora_{*}",), ("{*}motion_modules{*}lora.{*}",)),
    *kinds("motion_lora", "a LoRA of the image model in AnimateDiff's spelling (v3's domain adapter)", MOTION_LORA,
           ("attentions.{}.transformer_blocks.{}.attn{}.processor.to_{*}_lora.down.weight",)),
    *kinds("other_lora", "a LoRA for temporal layers that are not AnimateDiff's", NOBODY,
           ("{*}temp_attentions{*}lora{*}",), ("{*}temporal_attentions{*}lora{*}",), ("{*}temp_convs{*}lora{*}",)),
    *kinds("transformer_lora", "a LoRA for a video transformer (Wan, HunyuanVideo, Cosmos and the like)", LORA_OF_KIND,
           ("{*}blocks{*}cross_attn{*}lora{*}",), ("{*}blocks{*}img_attn_qkv{*}lora{*}",),
           ("{*}blocks{*}self_attn_q{*}lora{*}",),
           ("{*}.blocks.{}.attn{}.{*}lora{*}",), ("lora_unet_blocks_{*}",)),
    *kinds("transformer_lora", "a LoRA for a transformer (Flux, SD3, Qwen-Image and the like)", LORA_OF_KIND,
           ("{*}double_blocks{*}lora{*}",), ("{*}single_blocks{*}lora{*}",), ("{*}single_transformer_blocks{*}lora{*}",),
           ("{*}joint_blocks{*}lora{*}",), ("{*}transformer_blocks{*}add_k_proj{*}lora{*}",)),
    *kinds("transformer_lora", "a LoRA for a transformer (LTX-Video, CogVideoX, PixArt and the like)", LORA_OF_KIND,
           ("{*}transformer.transformer_blocks.{}.{*}lora{*}",), ("{*}diffusion_model.transformer_blocks.{}.{*}lora{*}",),
           ("lora_unet_transformer_blocks_{*}",), ("lora_transformer_{*}",)),
    *kinds("lora", "a LoRA", LORA,
           ("{*}lora_down.weight",), ("{*}lokr_w1{*}",), ("{*}hada_w1_a",), ("{*}lora_A{*}",), ("{*}_lora.down.weight",),
           ("{*}.lora.down.weight",), ("{*}lora_linear_layer.down.weight",), ("{*}oft_blocks{*}",), ("{*}lora_up.weight",),
           ("{*}lora_B{*}",), ("{*}_lora.up.weight",), ("{*}.lora.up.weight",)),
)  # fmt: skip
VIDEOS = (
    *kinds("video_upscaler", "a video upscaler", UPSCALER,
           ("class_embedding.weight", "{*}temporal{*}", "down_blocks.{}.resnets.{}.conv1.weight"),
           ("class_embedding.weight", "{*}attn_temp.{*}"), ("class_embedding.weight", "{*}temp_{*}")),
    *kinds("lvdm_unconditional", "LVDM's unconditional video model", "no node supports it",
           ("input_blocks.{}.{}.qkv_t.weight",)),
    *kinds("video_checkpoint", "a Stable Video Diffusion checkpoint",
           "load it with core's Image Only Checkpoint Loader (models/checkpoints)",
           ("input_blocks.{}.{}.time_stack.{*}",), ("down_blocks.{}.resnets.{}.temporal_res_block.{*}", "time_embedding.{*}")),
    *kinds("video_checkpoint", "a video checkpoint", VIDEO,
           ("init_attn.{}.proj_in.weight",), ("input_blocks.{}.{}.temopral_conv.{*}",), ("down_blocks.{}.temp_convs.{*}",),
           ("attn_temp.to_q.weight",), ("input_blocks.{}.{*}attn1_tmp.{*}",)),
    *kinds("motion_module", "a motion module", MOTION,
           ("{*}motion_modules.{}.{*}",), ("{*}temporal_attentions.{}.{*}",),
           ("down.{}.{}.attention.blocks.{}.attentions.{}.to_q.weight",)),
)  # fmt: skip
PICTURES = (
    *kinds("image_prompt", "an IP-Adapter", PROJECTOR, ("image_proj.{*}", "ip_adapter.{*}")),
    *kinds("image_prompt", "an IP-Adapter as its training script saves it", PROJECTOR,
           ("image_proj_model.{*}", "adapter_modules.{*}"), ("image_proj_model.{*}", "{*}to_k_ip.weight"),
           ("image_proj.{*}", "adapter_modules.{*}"), ("ip_adapter.{*}", "image_proj_model.{*}")),
    *kinds("image_prompt", "part of an IP-Adapter", PROJECTOR,
           ("ip_adapter.{}.to_k_ip.weight",), ("adapter_modules.{}.to_k_ip.weight",)),
    *kinds("image_prompt_in_unet", "an image UNet with an IP-Adapter in it, as diffusers saves both",
           "save both to separate files, for core's Load Diffusion Model and for Load Image Projector",
           ("attn2.processor.to_k_ip.{*}",)),
)  # fmt: skip
UNETS = (
    *kinds("x4_upscaler", "an upscaler checkpoint (SD x4)", UPSCALER,
           ("class_embedding.weight", "down_blocks.{}.resnets.{}.conv1.weight"),
           ("label_emb.weight", "input_blocks.{}.{}.in_layers.{}.weight")),
    *kinds("sd_checkpoint", "a SD checkpoint", CHECKPOINT, ("model.diffusion_model.input_blocks.{}.{}.in_layers.{}.weight",)),
    *kinds("image_unet", "an image UNet", DIFFUSION_MODEL,
           ("input_blocks.{}.{}.in_layers.{}.weight",), ("down_blocks.{}.resnets.{}.conv1.weight", "time_embedding.{*}")),
)  # fmt: skip
VAES = (
    *kinds("video_vae", "a video VAE", VAE, ("decoder.{*}.time_stack.{*}",)),
    *kinds("video_vae", "a video VAE", TEMPORAL_VAE,
           ("decoder.{*}temporal_res_block.{*}",), ("decoder.up_blocks.{}.resnets.{}.conv_3d.weight",), ("temporal_vae.{*}",),
           ("decoder.mid.attn_1.q_t.weight",), ("encoder.conv_blocks.{}.down.conv.weight",)),
    *kinds("transformer_vae", "the VAE of a video transformer (Wan, LTX-Video, HunyuanVideo, Cosmos and the like)", VAE,
           ("decoder.middle.{}.residual.{}.gamma",), ("decoder.up_blocks.{}.res_blocks.{}.conv1.conv.weight",),
           ("decoder.conv_in.conv.weight",), ("decoder.unpatcher3d.wavelets",), ("decoder.mid_block.resnets.{}.norm{}.gamma",)),
    *kinds("vae", "a VAE", VAE,
           ("encoder.conv_in.weight", "decoder.conv_out.weight"), ("encoder.down.{*}", "decoder.up.{*}"),
           ("encoder.down_blocks.{*}", "decoder.up_blocks.{*}")),
    *kinds("vae", "half of a VAE", VAE, ("decoder.mid.block_{}.conv{}.weight",), ("encoder.mid.block_{}.conv{}.weight",),
           ("decoder.mid_block.resnets.{}.conv{}.weight",)),
    *kinds("tiny_vae", "a tiny VAE (TAESD and the like)", "load it with core's Load VAE (models/vae_approx)",
           ("taesd_decoder.{}.weight",), ("decoder.layers.{}.conv.{}.weight", "encoder.layers.{}.conv.{}.weight")),
)  # fmt: skip
ENCODERS = (
    *kinds("clip_vision", "a CLIP vision encoder", VISION,
           ("vision_model.encoder.{*}",), ("visual.transformer.resblocks.{}.attn.in_proj_weight",)),
    *kinds("clip_vision", "a CLIP vision encoder without its prefix", VISION_BARE,
           ("class_embedding", "conv1.weight", "transformer.resblocks.{}.attn.in_proj_weight")),
    *kinds("clip_text", "a CLIP text encoder", TEXT,
           ("text_model.encoder.{*}",), ("transformer.resblocks.{}.attn.in_proj_weight",)),
    *kinds("t5", "a T5 text encoder", TEXT, ("encoder.block.{}.layer.{}.SelfAttention.q.weight",)),
    *kinds("language_model", "a language model used as text encoder (Llama, Gemma, Qwen and the like)", TEXT,
           ("model.layers.{}.self_attn.q_proj.weight",), ("model.language_model.layers.{}.{*}",)),
    *kinds("embedding", "an embedding (textual inversion)", EMBEDDING,
           ("emb_params",), ("string_to_param.{*}",), ("clip_l",), ("clip_g",), ("<{*}>",)),
    *kinds("style_model", "a style model (Redux)", "load it with core's Load Style Model (models/style_models)",
           ("redux_up.weight",), ("style_embedding",)),
    *kinds("gligen", "a GLIGEN model", "load it with core's GLIGENLoader (models/gligen)", ("position_net.{*}",)),
)  # fmt: skip
TRANSFORMERS = (
    *kinds("wan", "a video transformer (Wan and the like)", DIFFUSION_MODEL,
           ("head.modulation",), ("blocks.{}.cross_attn.norm_k.weight",), ("condition_embedder.time_embedder.{*}",)),
    *kinds("hunyuan_video", "a video transformer (HunyuanVideo and the like)", DIFFUSION_MODEL,
           ("txt_in.individual_token_refiner.{*}",), ("context_embedder.token_refiner.{*}",)),
    *kinds("ltx", "a video transformer (LTX-Video and the like)", DIFFUSION_MODEL,
           ("patchify_proj.weight",), ("transformer_blocks.{}.scale_shift_table", "caption_projection.linear_1.weight")),
    *kinds("cosmos", "a video transformer (Cosmos)", DIFFUSION_MODEL,
           ("blocks.block{}.blocks.{}.{*}",), ("blocks.{}.mlp.layer1.weight",),
           ("blocks.{}.adaln_modulation_self_attn.{}.weight",)),
    *kinds("cogvideo", "a video transformer (CogVideoX, Mochi)", DIFFUSION_MODEL,
           ("t5_yproj.weight",), ("t5_y_embedder.{*}",), ("blocks.{}.norm1.linear.weight",),
           ("transformer_blocks.{}.norm1.linear.weight", "patch_embed.{*}")),
    *kinds("flux", "a transformer diffusion model (Flux and the like)", DIFFUSION_MODEL,
           ("double_blocks.{}.{*}",), ("single_transformer_blocks.{}.{*}",)),
    *kinds("sd3", "a transformer diffusion model (SD3)", DIFFUSION_MODEL, ("joint_blocks.{}.{*}",)),
    *kinds("transformer", "a transformer diffusion model", DIFFUSION_MODEL,
           ("txt_norm.weight",), ("t_block.{}.weight",), ("double_layers.{}.{*}",), ("cap_embedder.{}.weight",),
           ("transformer_blocks.{}.attn.add_k_proj.weight",), ("visual_transformer_blocks.{}.{*}",)),
)  # fmt: skip
OTHERS = (
    *kinds("t2i_adapter", "a T2I-Adapter", CONTROLNET,
           ("body.{}.block1.weight", "body.{}.block2.weight"), ("adapter.body.{}.resnets.{}.block1.weight",)),
    *kinds("picture_upscaler", "a picture upscaler", PICTURE_UPSCALER,
           ("body.{}.rdb1.conv1.weight",), ("model.{}.sub.{}.RDB1.conv1.{}.weight",), ("RRDB_trunk.{}.RDB1.conv1.weight",),
           ("layers.{}.residual_group.blocks.{}.{*}",), ("block_{}.c1_r.{*}",), ("conv_first.weight", "conv_last.weight"),
           ("body.{}.weight", "upsampler.{}.weight")),
    *kinds("bare_unet", "an image UNet without its first and last layers", DIFFUSION_MODEL,
           ("input_blocks.{*}", "output_blocks.{*}")),
)  # fmt: skip

KINDS: tuple[Kind, ...] = (
    *RESTORERS[:-1], *GUIDES[:-1], *RESTORERS[-1:], *GUIDES[-1:],
    *VIDEOS[:3], *PICTURES[:1], *LORAS, *VIDEOS[3:], *PICTURES[1:], *UNETS, *VAES, *ENCODERS, *TRANSFORMERS, *OTHERS,
)  # fmt: skip
