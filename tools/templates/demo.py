"""Clips and pictures on the embedded model: they run with nothing downloaded."""

from .drawing import Workflow, column, node
from .parts import WORDS, avoid, decode, demo_clip, demo_model, frames, larger, motion, prompt, sampler, saving

RED = "a red circle moving right on black at 8 fps"

TEXT_TO_VIDEO = Workflow(
    "01_text_to_video_demo", "0.3.64",
    f"""
## A prompt, a video, nothing to download

Press **Run**. The demo model comes with Zoetrope; a clip takes seconds on a free CPU core and is saved to `output/video`.

**First, change** *3. What to film*, in the demo model's words. Name one of each: what is left out is left to chance.

{WORDS}

It was trained on 64x64 pixels and 16 frames; `batch_size` is the number of frames, up to 64. The last step only enlarges the pixels.

**Your own checkpoint** takes the place of *Load Demo Model*: see the template `02_text_to_video_sd15_animatediff`.
""",
    (
        *demo_clip(RED),
        column("Decode", decode("@sampler.LATENT"), larger("@decode.images")),
        saving("@larger.IMAGE", "zoetrope_demo"),
    ),
)  # fmt: skip

TEMPORAL_VAE = Workflow(
    "04_less_flicker_demo", "0.3.64",
    """
## Two decoders for the same latents

Press **Run**. The demo model films a clip; two decoders make a video of it, in `output/zoetrope`.

- *vae* decodes **one frame at a time**: moving parts shimmer.
- *temporal_vae* uses **the frames around** each frame (Stable Video Diffusion's layout, trained as in Align Your Latents).

**Decode Video to File** writes the video while it decodes: any length fits.

**First, change** the prompt. What changes in time do to such a decoder: `13_compare_two_vaes_demo`.

**Your own checkpoint:** Stable Video Diffusion's VAE decodes the latents of every SD 1.x and 2.x checkpoint: see `29_less_flicker_svd_vae`.
""",
    (
        *demo_clip(RED),
        column(
            "Decode",
            node(
                "around", "ZoetropeDecodeVideoToFile", "5. Decoded with the frames around", room=185, samples="@sampler.LATENT",
                vae="@demo.temporal_vae", fps=8.0, filename_prefix="zoetrope/with_the_frames_around",
            ),
            node(
                "alone", "ZoetropeDecodeVideoToFile", "The same, one frame at a time", room=185, samples="@sampler.LATENT",
                vae="@demo.vae", fps=8.0, filename_prefix="zoetrope/one_frame_at_a_time",
            ),
            width=360,
        ),
    ),
)  # fmt: skip

PICTURE = (
    column(
        "Model and picture", demo_model(),
        node("ground", "EmptyImage", "The ground: black", width=64, height=64, batch_size=1, color=657930),
        node("square", "EmptyImage", "The shape: a red square", width=20, height=20, batch_size=1, color=15411497),
        node("picture", "ImageCompositeMasked", "2. The picture (or Load Image)", destination="@ground.IMAGE",
             source="@square.IMAGE", x=8, y=22, resize_source=False),
        frames("16 frames of 64 x 64", 16),
    ),
)  # fmt: skip

IMAGE_TO_VIDEO = Workflow(
    "05_image_to_video_demo", "0.3.64",
    """
## A picture starts moving, nothing to download

Press **Run**. A red square, drawn by core nodes, becomes the first frame; the text describes the movement and names the shape, which keeps it better.

**First, change**

- *4. How it moves*: **moving right**, left, up, down, or standing still, *at* 4, **8** or 16 *fps*
- the colours and the place of the shape (and their words in the text), or a picture of your own with **Load Image** (64x64, one coloured shape on a plain ground: that is the demo model's world)

**Two uses of a picture**

- **Image Prompt**: its look, in every frame
- **First/Last Frame Guide**: the first frame; connect *last* as well for the last one

Bypass either (Ctrl+B) to see its effect. On your own checkpoint: `23_picture_as_prompt_ip_adapter`, or a whole DynamiCrafter file: `22_image_to_video_dynamicrafter`.
""",
    (
        *PICTURE,
        column(
            "Motion, looks and words", motion(title="Motion goes in"),
            node(
                "looks", "ZoetropeImagePrompt", "3. What it looks like", model="@motion.model", projector="@demo.projector",
                clip_vision="@demo.clip_vision", image="@picture.IMAGE",
            ),
            prompt("4. How it moves", "a red square moving right on black at 8 fps"), avoid(),
        ),
        column(
            "Start and sample",
            node(
                "guide", "ZoetropeFirstLastFrameGuide", "5. Where it starts", model="@looks.model", motion="@demo.motion",
                vae="@demo.vae", latent="@empty.LATENT", first="@picture.IMAGE",
            ),
            sampler("Samples the clip", "@guide.model", "@empty.LATENT"), decode("@sampler.LATENT"),
        ),
        column("Video", node("seen", "PreviewImage", "What it starts from", room=200, images="@picture.IMAGE"),
               larger("@decode.images"), *saving("@larger.IMAGE", "zoetrope_picture").nodes, width=324),
    ),
)  # fmt: skip

IMAGE_PROMPT = Workflow(
    "10_picture_as_prompt_demo", "0.3.64",
    """
## A picture as a prompt, nothing to download

Press **Run**. A red square, drawn by core nodes, sets the look of the clip; the text sets the movement. The clip does not begin with the picture (that is `05_image_to_video_demo`): it is *about* it.

**First, change** the square's colour (and its word in the text), or `strength` of *3. What it looks like*: 0 is the text alone.

`strength_by_frame` fades the picture in and out: `0: 1 / 8: 0 ~4`.

**Your own checkpoint:** an IP-Adapter file, in `23_picture_as_prompt_ip_adapter`.
""",
    (
        *PICTURE,
        column(
            "Motion, looks and words", motion(title="Motion goes in"),
            node("looks", "ZoetropeImagePrompt", "3. What it looks like", model="@motion.model", projector="@demo.projector",
                 clip_vision="@demo.clip_vision", image="@picture.IMAGE"),
            prompt("4. How it moves", "a red square moving right on black at 8 fps"), avoid(),
        ),
        column("Sample and decode", sampler("Samples the clip", "@looks.model", "@empty.LATENT"), decode("@sampler.LATENT"),
               larger("@decode.images")),
        saving("@larger.IMAGE", "zoetrope_image_prompt"),
    ),
)  # fmt: skip

VIDEO_TO_VIDEO = Workflow(
    "12_video_to_video_demo", "0.3.64",
    """
## Another look for a video, nothing to download

Press **Run**. A red circle is filmed; its latents get noise again, and *7. Sample again* starts from there with another prompt: the motion stays, the look changes.

**First, change** *6. What it becomes*, and `denoise` of *7*: near 0 nothing changes, at 1 nothing of the video is left.

**A video of your own:** connect **Load Video** to *5. Encode Video*. With a real checkpoint, and a ControlNet that holds the shapes: `24_video_to_video_controlnet`.
""",
    (
        *demo_clip(RED, decode("@sampler.LATENT"), scene="A clip",
                   extra=(prompt("6. What it becomes", "a yellow circle moving right on black at 8 fps", key="becomes"),)),
        column("Sample again",
               node("filmed", "CreateVideo", "As a video (or Load Video)", images="@decode.images", fps=8.0),
               node("read", "ZoetropeEncodeVideo", "5. Any video, as latents", images="@filmed.VIDEO", vae="@demo.vae"),
               sampler("7. Sample again", "@motion.model", "@read.latent", "@becomes.CONDITIONING", "again", denoise=0.85),
               decode("@again.LATENT", key="decoded")),
        column("Video", larger("@decoded.images"), *saving("@larger.IMAGE", "zoetrope_video_to_video").nodes, width=324),
    ),
)  # fmt: skip

VAE_STUDY = Workflow(
    "13_compare_two_vaes_demo", "0.3.64",
    """
## What does time do to a VAE? Nothing to download

Press **Run**. A clip goes through two VAEs and back, as it is and with its time changed: frames dropped, repeated, blended, reversed, shuffled. *VAE 1* decodes frame by frame, *VAE 2* uses the frames around.

In the table, **PSNR** is the likeness of the pictures (more is better), **jump error** and **flicker** are errors in time (less is better). The plot has the same figures.

**First, change** the lines of `changes`, or connect **Load Video** in place of *Decode Video*: a video of yours, 64x64 for the demo VAEs, any size for real ones.

Results: `docs/vae-and-time.md`.
""",
    (
        *demo_clip("a green triangle moving up on grey at 8 fps", decode("@sampler.LATENT"), scene="A clip"),
        column("Study", node("study", "ZoetropeVaeRoundTrip", "5. Through both VAEs and back", room=280, images="@decode.images",
                             vae="@demo.vae", vae_2="@demo.temporal_vae", frames=16),
               node("plot", "PreviewImage", "Shorter bars are better", room=440, images="@study.plot"), width=500),
    ),
)  # fmt: skip

DEMO = (TEXT_TO_VIDEO, TEMPORAL_VAE, IMAGE_TO_VIDEO, IMAGE_PROMPT, VIDEO_TO_VIDEO, VAE_STUDY)
