"""Workflows for checkpoints of one's own: file names are the public ones, to be picked anew where they are called otherwise."""

from typing import Any

from .drawing import Column, Node, Workflow, column, node
from .parts import avoid, decode, frames, motion, prompt, sampler, saving

BOAT = "a small sailing boat drifting across a calm bay at dawn, gentle waves, film still"
NEVER = "blurry, low quality, watermark, text"
AS_USUAL: dict[str, Any] = {"cfg": 8.0}


def checkpoint(title: str = "1. Any SD1.x checkpoint", name: str = "v1-5-pruned-emaonly.safetensors") -> Node:
    return node("base", "CheckpointLoaderSimple", title, ckpt_name=name)


def module(title: str = "2. An AnimateDiff motion module", name: str = "v3_sd15_mm.ckpt") -> Node:
    return node("module", "ZoetropeLoadMotionModule", title, motion_name=name)


def applied(module: str = "@module.motion", **more: str) -> Node:
    return motion("@base.MODEL", module, "3. Motion goes into the checkpoint", **more)


def text(positive: str = BOAT, negative: str = NEVER, clip: str = "@base.CLIP") -> tuple[Node, Node]:
    return prompt("Prompt", positive, clip), avoid(negative, clip)


def pixels(samples: str = "@sampler.LATENT", vae: str = "@base.VAE") -> Node:
    return node("pixels", "VAEDecode", "Frames", samples=samples, vae=vae)


def filmed(model: str, prefix: str, *before: Node) -> list[Column]:
    """How an ordinary clip ends: sampled, decoded, saved. before: nodes above the sampler."""
    sampled = sampler("Samples the clip", model, "@empty.LATENT", **AS_USUAL)
    return [column("Sample and decode", *before, sampled, pixels()), saving("@pixels.IMAGE", prefix)]


ANIMATEDIFF = Workflow(
    "02_text_to_video_sd15_animatediff", "0.3.64",
    """
## Motion for any SD1.x checkpoint

1. Pick a **Stable Diffusion 1.x** checkpoint (`models/checkpoints`).
2. Pick a **motion module** (`models/animatediff_models`), for example AnimateDiff v3 `v3_sd15_mm.ckpt` or v2 `mm_sd_v15_v2.ckpt`.
3. Press **Run**. The clip is saved to `output/video`.

**First, change** the prompt. **Frames** are the latent's `batch_size`: 16 is what the module was trained on; v2 and v3 take up to 32.

**Strength 0** gives exactly the checkpoint's own still pictures; turn it up to 1 to bring motion in.

LoRA and ControlNet go where they always go: between checkpoint and sampler.
""",
    (
        column("Load", checkpoint(), module()),
        column("Motion and prompt", applied(), *text(), frames("4. batch_size: the number of frames", 16, 512)),
        *filmed("@motion.model", "zoetrope_animatediff"),
    ),
)  # fmt: skip

SDXL = Workflow(
    "20_text_to_video_sdxl", "0.3.64",
    """
## Motion for any SDXL checkpoint

1. Pick an **SDXL** checkpoint (`models/checkpoints`).
2. Pick a motion module for SDXL (`models/animatediff_models`): Hotshot-XL `hsxl_temporal_layers.f16.safetensors` or AnimateDiff's SDXL beta `mm_sdxl_v10_beta.ckpt`.
3. Press **Run**.

**First, change** the prompt, and the size with the module: Hotshot-XL was trained on **8 frames** of about 512 x 512 (with a checkpoint tuned for that size), the SDXL beta on **16 frames** of 1024 x 1024.

*Motion Report* describes the file: family, frames, schedule, what it fits.
""",
    (
        column("Load", checkpoint("1. Any SDXL checkpoint", "sd_xl_base_1.0.safetensors"),
               module("2. Hotshot-XL, or AnimateDiff SDXL beta", "hsxl_temporal_layers.f16.safetensors"),
               node("report", "ZoetropeMotionReport", "What is this file?", motion="@module.motion"),
               node("text", "PreviewAny", "The report", room=220, source="@report.report"), width=360),
        column("Motion and prompt", applied(), *text(), frames("4. Eight frames for Hotshot-XL", 8, 512)),
        *filmed("@motion.model", "zoetrope_sdxl"),
    ),
)  # fmt: skip

VIDEOCRAFTER = Workflow(
    "21_text_to_video_videocrafter2", "0.3.64",
    """
## VideoCrafter2, as a MODEL like any other

1. Put VideoCrafter2's `model.ckpt` into `models/checkpoints` and pick it (here it is called `videocrafter2.ckpt`).
2. Press **Run**.

The file holds everything: its image UNet is Stable Diffusion 2.1's, so **LoRAs for SD 2.x, ControlNets and every sampler work**.

**First, change** the prompt. 16 frames of 512 x 320 are what it was trained on; `fps` in the loader is the frame rate that it is conditioned on (8 to 28): lower means more change from frame to frame.

`motion` is its temporal layers alone: connect it to *Apply Motion Module* on another SD 2.x checkpoint. Longer: *Endless Shot* in place of the sampler.
""",
    (
        column("Load", node("video", "ZoetropeLoadVideoCheckpoint", "1. The whole file", checkpoint_name="videocrafter2.ckpt", conditioning_fps=24.0),
               *text(clip="@video.clip"), frames("16 frames of 512 x 320", 16, 512, height=320), width=324),
        column("Sample and decode", sampler("Samples the clip", "@video.model", "@empty.LATENT", cfg=12.0, steps=50, sampler_name="ddim",
                                 scheduler="ddim_uniform"), pixels(vae="@video.vae")),
        saving("@pixels.IMAGE", "zoetrope_videocrafter2", 10.0),
    ),
)  # fmt: skip

DYNAMICRAFTER = Workflow(
    "22_image_to_video_dynamicrafter", "0.3.64",
    """
## DynamiCrafter: a picture starts moving

1. Pick a DynamiCrafter file (`models/checkpoints`): its `model.ckpt` of 512 or 1024, renamed so that you know it.
2. Pick **OpenCLIP ViT-H/14** in *Load CLIP Vision* (`models/clip_vision`).
3. Pick a **picture**, and describe the movement in the prompt. Press **Run**.

**Image Prompt** gives the picture to its cross-attention, **First/Last Frame Guide** adds it beside the latents: it was trained with both.

**First, change** picture and prompt; size with the file (512 x 320, 1024 x 576). `fps` in the loader: **lower is more motion** for DynamiCrafter 512 and 1024 (5 to 30). With the *interp* file connect `last` as well: it fills in between the two pictures.
""",
    (
        column("Load", node("video", "ZoetropeLoadVideoCheckpoint", "1. The whole file", checkpoint_name="dynamicrafter_512.ckpt", conditioning_fps=24.0),
               node("vision", "CLIPVisionLoader", "2. OpenCLIP ViT-H/14", clip_name="CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"),
               node("picture", "LoadImage", "3. The first frame", room=100, image="example.png"), width=324),
        column("Looks and words", node("looks", "ZoetropeImagePrompt", "What it looks like", model="@video.model", projector="@video.projector",
                             clip_vision="@vision.CLIP_VISION", image="@picture.IMAGE"),
               *text("the boat sails to the right, waves, drifting clouds", "", "@video.clip"),
               frames("16 frames of 512 x 320", 16, 512, height=320)),
        column("Start and sample", node("guide", "ZoetropeFirstLastFrameGuide", "Where it starts", model="@looks.model",
                                        motion="@video.motion", vae="@video.vae", latent="@empty.LATENT", first="@picture.IMAGE"),
               sampler("Samples the clip", "@guide.model", "@empty.LATENT", cfg=7.5, steps=50, sampler_name="ddim",
                       scheduler="ddim_uniform"), pixels(vae="@video.vae")),
        saving("@pixels.IMAGE", "zoetrope_dynamicrafter"),
    ),
)  # fmt: skip

IP_ADAPTER = Workflow(
    "23_picture_as_prompt_ip_adapter", "0.3.64",
    """
## A picture as a prompt, on any SD1.x checkpoint

1. **SD1.x** checkpoint, 2. **AnimateDiff** module, as in `02_text_to_video_sd15_animatediff`.
3. An **IP-Adapter** file (`models/ipadapter`): `ip-adapter_sd15.safetensors` or `ip-adapter-plus_sd15.safetensors`; recognised by its keys.
4. The **CLIP-Vision** it was trained with (`models/clip_vision`): ViT-H/14 for both. A wrong one is refused by name.
5. A **picture**. Press **Run**.

**First, change** the picture, and `strength` of *6*: 0.6 to 0.8 leaves room for the text. `strength_by_frame` fades it in and out (`0: 1 / 8: 0 ~4`); several pictures can follow one another (`batch`).

For SDXL: `ip-adapter_sdxl.safetensors` with an SDXL checkpoint.
""",
    (
        column("Load", checkpoint(), module(),
               node("projector", "ZoetropeLoadImageProjector", "3. An IP-Adapter file", projector_name="ip-adapter_sd15.safetensors"),
               node("vision", "CLIPVisionLoader", "4. Its CLIP-Vision", clip_name="CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors"),
               node("picture", "LoadImage", "5. The picture", image="example.png")),
        column("Motion and prompt", applied(), *text(), frames("16 frames of 512 x 512", 16, 512)),
        *filmed("@looks.model", "zoetrope_ip_adapter",
                node("looks", "ZoetropeImagePrompt", "6. What it looks like", model="@motion.model", strength=0.7,
                     projector="@projector.projector", clip_vision="@vision.CLIP_VISION", image="@picture.IMAGE")),
    ),
)  # fmt: skip

CONTROLNET = Workflow(
    "24_video_to_video_controlnet", "0.3.64",
    """
## A video in another look, its shapes held by a ControlNet

1. **SD1.x** checkpoint, 2. **AnimateDiff** module, as in `02_text_to_video_sd15_animatediff`.
3. A **ControlNet** for SD1.x (`models/controlnet`): Canny here; any other with its own preprocessor in place of *Canny*.
4. A **video** of up to 32 frames (longer: *Sliding Windows* or *Endless Shot*). Press **Run**.

Picture 1 of the ControlNet steers frame 1, and so on. *Encode Video* reads the file frame by frame.

**First, change** the prompt, `denoise` of *7* (lower keeps more of the video's colours) and the ControlNet's `strength`.
""",
    (
        column("Load", checkpoint(), module(),
               node("control", "ControlNetLoader", "3. A Canny ControlNet", control_net_name="control_v11p_sd15_canny.pth"),
               node("file", "LoadVideo", "4. The video", room=100, file="my_video.mp4")),
        column("Motion and video", applied(), *text(),
               node("parts", "GetVideoComponents", "Its frames", video="@file.VIDEO"),
               node("lines", "Canny", "Its lines", image="@parts.images", low_threshold=0.2, high_threshold=0.5)),
        column("ControlNet and sample",
               node("read", "ZoetropeEncodeVideo", "5. Its latents", images="@file.VIDEO", vae="@base.VAE"),
               node("steered", "ControlNetApplyAdvanced", "6. Lines steer the frames", positive="@prompt.CONDITIONING",
                                  negative="@negative.CONDITIONING", control_net="@control.CONTROL_NET", image="@lines.IMAGE",
                    strength=0.8),
               sampler("7. Sample again", "@motion.model", "@read.latent", "@steered.positive",
                                 negative="@steered.negative", denoise=0.75, **AS_USUAL)),
        column("Video", decode("@sampler.LATENT", "@base.VAE"),
               *saving("@decode.images", "zoetrope_video_to_video", 16.0).nodes, width=324),
    ),
)  # fmt: skip

SPARSECTRL = Workflow(
    "25_image_to_video_sparsectrl", "0.3.64",
    """
## SparseCtrl: some frames given, the others sampled

1. **SD1.x** checkpoint, 2. **AnimateDiff v3** (SparseCtrl was made for v3).
3. A **SparseCtrl** file (`models/controlnet`): `v3_sd15_sparsectrl_rgb.ckpt` for pictures, `..._scribble.ckpt` for drawings.
4. **Pictures**: one, or several joined with *Image Batch*. Press **Run**.

**First, change** `frames` of *3*: where the pictures belong. `0` is the first frame, `0, -1` first and last, empty: evenly over the clip.

*Apply ControlNet* is core's: `strength`, `start_percent` and `end_percent` work as ever. RGB needs the VAE there, scribble does not.
""",
    (
        column("Load", checkpoint(), module(),
               node("control", "ZoetropeLoadSparseCtrl", "3. SparseCtrl", control_net_name="v3_sd15_sparsectrl_rgb.ckpt", frames="0"),
               node("picture", "LoadImage", "4. The picture", room=100, image="example.png")),
        column("Motion and prompt", applied(), *text(), frames("16 frames of 512 x 512", 16, 512)),
        column("ControlNet and sample", node("steered", "ControlNetApplyAdvanced", "5. Core's Apply ControlNet", positive="@prompt.CONDITIONING",
                                  negative="@negative.CONDITIONING", control_net="@control.control_net", image="@picture.IMAGE",
                                  vae="@base.VAE"),
               sampler("Samples the clip", "@motion.model", "@empty.LATENT", "@steered.positive",
                       negative="@steered.negative", **AS_USUAL),
               pixels()),
        saving("@pixels.IMAGE", "zoetrope_sparsectrl"),
    ),
)  # fmt: skip

MOTION_LORA = Workflow(
    "26_camera_moves_motion_lora", "0.3.64",
    """
## Camera moves, and finer control of motion

1. **SD1.x** checkpoint, 2. **AnimateDiff v2** (motion LoRAs were made for v2).
3. A **motion LoRA** (`models/animatediff_motion_lora`): `v2_lora_ZoomIn.ckpt`, `..._PanLeft.ckpt`, ... Several may follow each other.
4. **Motion Settings**: everything in it is as published until you change it.

**First, change** the LoRA and its `strength` (0.8 to 1), then:

- `strength_per_frame` of *4*: `0, 1` lets motion begin softly; `1, 0` lets it come to rest
- `levels`: `down: 0.5` calms the coarse movement
- `longer_clips`: 24 frames and more, with stretched positions
""",
    (
        column("Load", checkpoint(), module("2. AnimateDiff v2", "mm_sd_v15_v2.ckpt"),
               node("lora", "ZoetropeApplyMotionLora", "3. A camera move", motion="@module.motion",
                              lora_name="v2_lora_ZoomIn.ckpt", strength=0.8),
               node("fine", "ZoetropeMotionSettings", "4. Finer control", longer_clips="stretch positions", strength_per_frame="0.6, 1")),
        column("Motion and prompt", applied("@lora.motion", settings="@fine.settings"), *text(),
               frames("5. batch_size: the number of frames", 24, 512)),
        *filmed("@motion.model", "zoetrope_motion_lora"),
    ),
)  # fmt: skip


TEMPORAL_VAE = Workflow(
    "29_less_flicker_svd_vae", "0.3.64",
    """
## Less flicker from the same latents

1. **SD1.x** checkpoint, 2. **AnimateDiff** module, as in `02_text_to_video_sd15_animatediff`.
3. A **temporal VAE** (`models/vae`): Stable Video Diffusion's file or the whole SVD checkpoint; it decodes the latents of SD 1.x and 2.x.
4. Press **Run**. *Decode Video to File* writes while it decodes: hours fit.

**First, change** the prompt. `window` and `overlap` of *5* set which frames are decoded together: 0 and -1 take what suits the VAE; they never depend on free memory, so the picture is the same on every machine.

Out of memory: `tile_size` 512.
""",
    (
        column("Load", checkpoint(), module(),
               node("temporal", "ZoetropeLoadTemporalVae", "3. A VAE for several frames", vae_name="svd_xt.safetensors")),
        column("Motion and prompt", applied(), *text(), frames("16 frames of 512 x 512", 16, 512)),
        column("Sample and decode", sampler("Samples the clip", "@motion.model", "@empty.LATENT", **AS_USUAL),
               node("file", "ZoetropeDecodeVideoToFile", "5. Straight to a file", room=300, samples="@sampler.LATENT",
                              vae="@temporal.vae", fps=8.0, filename_prefix="zoetrope/temporal_vae"), width=360),
    ),
)  # fmt: skip

OWN = (
    ANIMATEDIFF, SDXL, VIDEOCRAFTER, DYNAMICRAFTER, IP_ADAPTER, CONTROLNET, SPARSECTRL, MOTION_LORA, TEMPORAL_VAE,
)  # fmt: skip
