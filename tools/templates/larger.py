"""Frames in between and larger frames: on the embedded model, and on files of one's own."""

from .drawing import Workflow, column, node
from .parts import WORDS, avoid, decode, demo_clip, demo_model, frames, motion, prompt, sampler, timeline

INTERPOLATE = Workflow(
    "06_frames_in_between_demo", "0.3.64",
    f"""
## Frames in between, nothing to download

Press **Run**. Twelve frames at 4 per second become 45 at 16: the frames between are *sampled* by the same model, with the given frames as input. The file lands in `output/zoetrope`.

**First, change** both prompts (they should agree, apart from the rate) or the `factor`. The demo model knows:

{WORDS}

**A video of your own:** connect *Load Video* in place of *Decode Video*. **Your own checkpoint:** LaVie interpolation, SEINE or DynamiCrafter through *Load Video Checkpoint*; its `motion` goes here as well.

Run again: the finished file is found and used.
""",
    (
        column(
            "Model and words", demo_model(), prompt("3. The few frames: 4 per second", "a red circle moving right on black at 4 fps"),
            avoid(), prompt("4. The same at 16 per second", "a red circle moving right on black at 16 fps", key="fast"),
            frames("12 frames of 64 x 64", 12),
        ),
        column("A clip with few frames", motion(), sampler("Samples the few frames", "@motion.model", "@empty.LATENT"),
               decode("@sampler.LATENT")),
        column(
            "In between",
            node(
                "between", "ZoetropeInterpolateFrames", "5. Three frames into every gap", room=350, model="@motion.model",
                positive="@fast.CONDITIONING", negative="@negative.CONDITIONING", vae="@demo.vae", motion="@demo.motion",
                images="@decode.images", factor=4, seed=0, steps=12, cfg=1.0, fps=16.0,
            ),
            width=400,
        ),
    ),
)  # fmt: skip


def upscale(key: str, title: str, upscaler: str, images: str, prefix: str, fps: float, steps: int):  # noqa: ANN201
    return node(
        key, "ZoetropeUpscaleVideo", title, room=200, model=f"@{upscaler}.model", positive="@plain.CONDITIONING",
        negative="@plain.CONDITIONING", vae=f"@{upscaler}.vae", images=images, seed=0, steps=steps, cfg=1.0, fps=fps,
        filename_prefix=prefix,
    )  # fmt: skip


UPSCALE = Workflow(
    "07_upscale_video_demo", "0.3.64",
    """
## Four times as wide, nothing to download

Press **Run**. A clip of 64x64 pixels becomes one of 256x256, twice: with temporal layers, and frame by frame. *Video Metrics* compares them: `second difference` and `pulse` are flicker. The files land in `output/zoetrope`.

**First, change** the prompt, or `noise_level`: how much detail is invented.

**A video of your own** and a real upscaler: `28_upscale_your_video`.
""",
    (
        column("Model and words", demo_model(), prompt("3. What to film", "a yellow circle moving left on black at 8 fps"), avoid(),
               frames("14 frames of 64 x 64", 14),
               node("upscaler", "ZoetropeLoadDemoUpscaler", "4. The upscaler, with temporal layers", strength=1.0),
               prompt("No words needed", "", "@upscaler.clip", "plain", 0)),
        column("A small clip", motion(), sampler("Samples the small clip", "@motion.model", "@empty.LATENT"),
               decode("@sampler.LATENT", "@demo.temporal_vae"),
               node("still", "ZoetropeLoadDemoUpscaler", "The same without: frame by frame", strength=0.0)),
        column("Larger", upscale("large", "5. Four times as wide", "upscaler", "@decode.images", "zoetrope/large", 8.0, 12), width=324),
        column("Compare", upscale("rough", "Frame by frame, to compare", "still", "@decode.images", "zoetrope/large_frame_by_frame", 8.0, 12),
               node("metrics", "ZoetropeVideoMetrics", "6. Which one flickers?", room=120, images="@large.video",
                               images_2="@rough.video"), width=324),
        column("See", node("plot", "PreviewImage", "Differences frame by frame", room=420, images="@metrics.plot"), width=460),
    ),
)  # fmt: skip


def cascade(
    name: str, host: str, note: str, between: tuple, prefix: str, words: str, seconds: float, last: str, more: tuple = ()
):  # noqa: ANN201
    """Key frames, what fills them in, and the upscaler."""
    return Workflow(
        name, host, note,
        (
            column("Models", demo_model(), node("upscaler", "ZoetropeLoadDemoUpscaler", "The upscaler", strength=1.0),
                   avoid(), prompt("No words needed", "", "@upscaler.clip", "plain", 0), frames("Only the size counts", 1)),
            column("Motion and words", motion(), timeline("3. What to film, and when it changes", words),
                   *([timeline("5. The same at 16 per second", "0: a circle moving right on black at 16 fps", key="fast")]
                     if seconds == 4.0 else []), *more, width=324),
            column("Key frames", node(
                "shot", "ZoetropeEndlessShot", "4. The shot: few frames, as long as you like", room=320, model="@motion.model",
                positive="@timeline.conditioning", negative="@negative.CONDITIONING", vae="@demo.vae", latent="@empty.LATENT",
                seed=0, frames=24, fps=seconds, cfg=3.0, filename_prefix=f"zoetrope/{prefix}_1_shot"), width=324),
            *([column("In between", *between, width=324)] if seconds == 4.0 else []),
            column("Larger", *(between if seconds != 4.0 else ()), upscale("large", "8. Four times as wide", "upscaler", last, f"zoetrope/{prefix}_3_large",
                                     0.0 if seconds == 4.0 else 32.0, 8), width=324),
        ),
    )  # fmt: skip


CASCADE = cascade(
    "08_shot_in_betweens_upscale_demo", "0.3.64",
    f"""
## The whole cascade, nothing to download

Press **Run**: key frames, frames in between, larger frames. Each stage writes a file and streams from the last one's, so memory does not grow with the shot: `output/zoetrope/cascade_1_shot_...`, `cascade_2_between_...`, `cascade_3_large_...`.

**Stopped or crashed?** Run again. The shot goes on from its frame; stages that are finished are found and used.

**First, change** the lines of the first *Prompt Timeline* (`frame: prompt`, `~6` is a cross-fade), and raise `frames`. The demo model knows:

{WORDS}

**Your own models:** any motion checkpoint films the keys; LaVie interpolation, SEINE or DynamiCrafter fill in; Upscale-A-Video or LaVie VSR enlarge. Where SeedVR2 is installed, let it take the last stage.

Some minutes on two CPU cores.
""",
    (
        node(
            "between", "ZoetropeInterpolateFrames", "6. Four times as many frames", room=200, model="@motion.model",
            positive="@fast.conditioning", negative="@negative.CONDITIONING", vae="@demo.vae", motion="@demo.motion",
            images="@shot.video", factor=4, seed=0, steps=12, cfg=1.0, fps=0.0, filename_prefix="zoetrope/cascade_2_between"),
    ),
    "cascade", "0: a red circle moving right on black at 4 fps\n16: a blue circle moving right on black at 4 fps ~6", 4.0,
    "@between.video",
)  # fmt: skip

CASCADE_CORE = cascade(
    "09_shot_in_betweens_upscale_rife", "0.25.0",
    """
## The cascade with ComfyUI's own frame interpolation

Where motion is small, RIFE and FILM fill in faster than any diffusion model, and as well. This graph lets them: *Run Frame Interpolation Model* takes the middle of the cascade.

**You need** a RIFE or FILM file in `models/frame_interpolation`; pick it in *5. Pick RIFE or FILM*.

**First, change** the prompt and the number of `frames`. The whole clip is held in memory between the stages here: for very long shots take `08_shot_in_betweens_upscale_demo`, which goes from file to file.
""",
    (
        node("parts", "GetVideoComponents", "Its frames", video="@shot.video"),
        node("between", "FrameInterpolate", "6. ComfyUI's own interpolation", interp_model="@film.INTERP_MODEL",
             images="@parts.images", multiplier=4),
    ),
    "core_cascade", "0: a red circle moving right on black at 8 fps", 8.0, "@between.IMAGE",
    (node("film", "FrameInterpolationModelLoader", "5. Pick RIFE or FILM", model_name="rife47.safetensors"),),
)  # fmt: skip

COLOUR = Workflow(
    "16_match_colours_demo", "0.3.64",
    """
## Parts of long files, colours put back, and figures. Nothing to download

Press **Run**. A clip is written to a file; *6. Load Video Segment* takes every second frame of its first half, as one would of a file that is too long for memory. *7. Match Colour* gives them the mean and spread of a picture's colours, and *8. Video Metrics* compares flicker and drift before and after.

**First, change** the colours of the drawn picture, or connect **Load Video** and **Load Image**.

Match Colour puts back what an upscaler or a round trip through a VAE has drifted: connect the original frames as its `reference`.
""",
    (
        *demo_clip("a magenta circle moving left on grey at 8 fps", node("square", "EmptyImage", "An orange square", width=20, height=20,
                                                                         batch_size=1, color=15764539), scene="A clip"),
        column("A file, and a part",
               node("file", "ZoetropeDecodeVideoToFile", "5. A file", room=210, samples="@sampler.LATENT", vae="@demo.vae", fps=8.0,
                    filename_prefix="zoetrope/whole"),
               node("part", "ZoetropeLoadVideoSegment", "6. Every second frame of a part", video="@file.video", first_frame=0,
                              count=8, every=2),
               node("ground", "EmptyImage", "A teal ground", width=64, height=64, batch_size=1, color=1987190), width=324),
        column("Colour", node("picture", "ImageCompositeMasked", "The colours to take (or Load Image)", destination="@ground.IMAGE",
                    source="@square.IMAGE", x=8, y=22, resize_source=False),
               node("match", "ZoetropeMatchColour", "7. In other colours", images="@part.images",
                              reference="@picture.IMAGE", method="adain"),
               node("before", "PreviewImage", "Before", room=250, images="@part.images"),
               node("after", "PreviewImage", "After", room=250, images="@match.images")),
        column("Figures",
               node("metrics", "ZoetropeVideoMetrics", "8. What did that do?", room=120, images="@part.images", images_2="@match.images"),
               node("plot", "PreviewImage", "Frame by frame", room=420, images="@metrics.plot"), width=460),
    ),
)  # fmt: skip

UPSCALE_YOURS = Workflow(
    "28_upscale_your_video", "0.3.64",
    """
## Your video, four times as wide

1. An **upscaler** (`models/checkpoints` or `diffusion_models`): Upscale-A-Video's `unet_video`, LaVie's `lavie_vsr.pt`, or any SD x4 upscaler such as `x4-upscaler-ema.safetensors` (frame by frame). Recognised by its keys.
2. Where the file holds no text encoder and no VAE: **SD 2.x's CLIP** and the **x4 upscaler's VAE**.
3. A **video**. Press **Run**: it goes from file to file, in overlapping windows, in the memory of one.

**First, change** the prompt to what the video shows, `noise_level` (20 stays close, 120 invents more), `tile_size` where memory ends (256 or less).

Colours are taken from the small frames (`match_colour`).
""",
    (
        column("Load", node("text", "CLIPLoader", "2. SD 2.x's CLIP", clip_name="open_clip_vit_h_14.safetensors", type="stable_diffusion"),
               node("vae", "VAELoader", "2. The x4 upscaler's VAE", vae_name="x4-upscaler-vae.safetensors"),
               node("file", "LoadVideo", "3. The video", room=100, file="my_video.mp4")),
        column("Upscaler and words", node("upscaler", "ZoetropeLoadVideoUpscaler", "1. The upscaler", clip="@text.CLIP", vae="@vae.VAE",
                                    upscaler_name="x4-upscaler-ema.safetensors"),
               prompt("What it shows", "a sailing boat on calm water, best quality, sharp, detailed", "@upscaler.clip"),
               avoid("blurry, noise, compression artefacts", "@upscaler.clip")),
        column("Larger", node("large", "ZoetropeUpscaleVideo", "4. Four times as wide", room=350, model="@upscaler.model",
                              positive="@prompt.CONDITIONING", negative="@negative.CONDITIONING", vae="@upscaler.vae",
                              images="@file.VIDEO", steps=30, cfg=6.0), width=400),
    ),
)  # fmt: skip

LARGER = (INTERPOLATE, UPSCALE, CASCADE, CASCADE_CORE, COLOUR, UPSCALE_YOURS)
