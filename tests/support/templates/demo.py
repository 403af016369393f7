"""Workflows on the embedded model: they run with nothing downloaded."""

from .drawing import Workflow, column, node
from .parts import (
    WORDS,
    avoid,
    decode,
    demo_clip,
    demo_model,
    frames,
    motion,
    prompt,
    sampler,
    saving,
    timeline,
)

RED = "a red circle moving right on black at 8 fps"

TEXT_TO_VIDEO = Workflow(
    "01_text_to_video_demo", "0.3.64",
    f"""
## A prompt, a video, nothing to download

Press **Run**. The demo model comes with Zoetrope; a clip takes some seconds even without a GPU and is saved to `output/video`.

**First, change** *3. What to film*, in the words of the demo model's small world:

{WORDS}

It was trained on 64x64 pixels and 16 frames; `batch_size` is the number of frames, up to 64. Near the end the pixels are only made larger, so that you see something.

**Your own checkpoint** takes the place of *Load Demo Model*: see the template `02_animatediff_sd15`.
""",
    (
        *demo_clip(RED, scene="Sample"),
        column("Decode", decode("@sampler.LATENT")),
        *saving("@decode.images", "zoetrope_demo", enlarged=True),
    ),
)  # fmt: skip

ENDLESS_SHOT = Workflow(
    "03_endless_shot_demo", "0.3.64",
    f"""
## A shot without an end, nothing to download

Press **Run**. The shot is written while it is sampled, to `output/zoetrope/demo_shot_00001`; finished frames show on the filmstrip under the node.

**First, change** the lines of *3. What to film*: `frame: prompt`, and `~16` for a cross-fade over 16 frames. Or drag the edges and dots of the bars below. The demo model knows:

{WORDS}

**Stop it** whenever you like, or let it crash: run the same graph again and it goes on from the same frame, to the same bits.

**Raise** `frames` and run again: the shot gets longer. Any other change starts a new shot, and the node says which.

Your own checkpoint: `27_endless_shot_sd15`.
""",
    (
        column("Load", demo_model()),
        column(
            "Motion and prompts", motion(),
            timeline(
                "3. What to film, and when it changes",
                "0: a red circle moving right on black at 8 fps\n48: a blue circle moving right on black at 8 fps ~16",
            ),
            avoid(), frames("4. Only the size counts", 1), width=420,
        ),
        column(
            "The shot",
            node(
                "shot", "ZoetropeEndlessShot", "5. Raise frames and run again: it goes on", room=420, model="@motion.model",
                positive="@timeline.conditioning", negative="@negative.CONDITIONING", vae="@demo.vae", latent="@empty.LATENT",
                seed=7, frames=96, fps=8.0, cfg=3.0, filename_prefix="zoetrope/demo_shot",
            ),
            width=440,
        ),
    ),
)  # fmt: skip

TEMPORAL_VAE = Workflow(
    "04_temporal_vae_demo", "0.3.64",
    """
## Two decoders for the same latents

Press **Run**. The demo model films a clip; two decoders make a video of it, in `output/zoetrope`.

- *vae* decodes **one frame at a time**: what moves, shimmers.
- *temporal_vae* **sees the frames around** each frame (Stable Video Diffusion's layout, trained as in Align Your Latents).

**Decode Video to File** writes the video while it decodes: any length fits.

**First, change** the prompt. What such a decoder minds: `13_vae_study_demo`.

**Your own checkpoint:** Stable Video Diffusion's VAE decodes the latents of every SD 1.x and 2.x checkpoint: see `29_temporal_vae_sd15`.
""",
    (
        *demo_clip(RED, scene="Sample"),
        column(
            "Decode",
            node(
                "around", "ZoetropeDecodeVideoToFile", "5. Decoded with the frames around", room=330, samples="@sampler.LATENT",
                vae="@demo.temporal_vae", fps=8.0, filename_prefix="zoetrope/with_the_frames_around",
            ),
            node(
                "alone", "ZoetropeDecodeVideoToFile", "The same, one frame at a time", room=330, samples="@sampler.LATENT",
                vae="@demo.vae", fps=8.0, filename_prefix="zoetrope/one_frame_at_a_time",
            ),
            width=360,
        ),
    ),
)  # fmt: skip


PICTURE = (
    column(
        "Load and draw", demo_model(),
        node("ground", "EmptyImage", "The ground: black", width=64, height=64, batch_size=1, color=657930),
        node("square", "EmptyImage", "The shape: a red square", width=20, height=20, batch_size=1, color=15411497),
    ),
    column(
        "The picture",
        node("picture", "ImageCompositeMasked", "2. The picture (or Load Image)", destination="@ground.IMAGE",
             source="@square.IMAGE", x=8, y=22, resize_source=False),
        motion(title="Motion goes in"),
    ),
)  # fmt: skip

IMAGE_TO_VIDEO = Workflow(
    "05_image_to_video_demo", "0.3.64",
    """
## A picture starts moving, nothing to download

Press **Run**. A red square, drawn by core nodes, becomes the first frame; the text says how it moves, and names the shape: that keeps it better.

**First, change**

- *4. How it moves*: **moving right**, left, up, down, or standing still, *at* 4, **8** or 16 *fps*
- the colours and the place of the shape (and their words in the text), or a picture of your own with **Load Image** (64x64, one coloured shape on a plain ground: that is the demo model's world)

**Two ways of showing a picture**

- **Image Prompt** says what it looks like, in every frame
- **First/Last Frame Guide** says where the clip starts; connect *last* as well and it ends there

Bypass either (Ctrl+B) to see what it does. On your own checkpoint: `23_ip_adapter`, or a whole DynamiCrafter file: `22_dynamicrafter_image_to_video`.
""",
    (
        *PICTURE,
        column(
            "Looks",
            node(
                "looks", "ZoetropeImagePrompt", "3. What it looks like", model="@motion.model", projector="@demo.projector",
                clip_vision="@demo.clip_vision", image="@picture.IMAGE",
            ),
            frames("16 frames of 64 x 64", 16),
            node("seen", "PreviewImage", "What it starts from", room=200, images="@picture.IMAGE"),
        ),
        column(
            "Start and prompt",
            node(
                "guide", "ZoetropeFirstLastFrameGuide", "5. Where it starts", model="@looks.model", motion="@demo.motion",
                vae="@demo.vae", latent="@empty.LATENT", first="@picture.IMAGE",
            ),
            prompt("4. How it moves", "a red square moving right on black at 8 fps"), avoid(),
        ),
        column(
            "Sample", sampler("Samples the clip", "@guide.model", "@empty.LATENT", seed=3),
        ),
        column("Decode", decode("@sampler.LATENT")),
        *saving("@decode.images", "zoetrope_picture", enlarged=True),
    ),
)  # fmt: skip

INTERPOLATE = Workflow(
    "06_interpolate_demo", "0.3.64",
    f"""
## Frames in between, nothing to download

Press **Run**. Twelve frames at 4 per second become 45 at 16: what lies between is *filmed* by the same model, which is shown the given frames. The file lands in `output/zoetrope`.

**First, change** both prompts (they should agree, apart from the rate) or the `factor`. The demo model knows:

{WORDS}

**A video of your own:** connect *Load Video* in place of *Decode Video*. **Your own checkpoint:** LaVie interpolation, SEINE or DynamiCrafter through *Load Video Checkpoint*; its `motion` goes here as well.

Run again: the finished file is found and used.
""",
    (
        column("Load", demo_model()),
        column(
            "Motion and prompts", motion(), prompt("3. The few frames: 4 per second", "a red circle moving right on black at 4 fps"),
            avoid(), prompt("4. The same at 16 per second", "a red circle moving right on black at 16 fps", key="fast"),
            frames("12 frames of 64 x 64", 12),
        ),
        column("A clip with few frames", sampler("Samples the few frames", "@motion.model", "@empty.LATENT")),
        column("Decode", decode("@sampler.LATENT")),
        column(
            "In between",
            node(
                "between", "ZoetropeInterpolateFrames", "5. Three frames into every gap", room=350, model="@motion.model",
                positive="@fast.CONDITIONING", negative="@negative.CONDITIONING", vae="@demo.vae", motion="@demo.motion",
                images="@decode.images", factor=4, seed=7, steps=12, cfg=1.0, fps=16.0,
            ),
            width=400,
        ),
    ),
)  # fmt: skip


def upscale(key: str, title: str, upscaler: str, images: str, prefix: str, fps: float, steps: int):  # noqa: ANN201
    return node(
        key, "ZoetropeUpscaleVideo", title, room=350, model=f"@{upscaler}.model", positive="@plain.CONDITIONING",
        negative="@plain.CONDITIONING", vae=f"@{upscaler}.vae", images=images, seed=7, steps=steps, cfg=1.0, fps=fps,
        filename_prefix=prefix,
    )  # fmt: skip


UPSCALE = Workflow(
    "07_upscale_demo", "0.3.64",
    """
## Four times as wide, nothing to download

Press **Run**. A clip of 64x64 pixels becomes one of 256x256, twice: with temporal layers, and frame by frame. *Video Metrics* compares them: `second difference` and `pulse` are flicker. The files land in `output/zoetrope`.

**First, change** the prompt, or `noise_level`: how freely detail is made up.

**A video of your own** and a real upscaler: `28_upscale_your_video`.
""",
    (
        column("Load", demo_model(),
               node("upscaler", "ZoetropeLoadDemoUpscaler", "4. The upscaler, with temporal layers", strength=1.0),
               node("still", "ZoetropeLoadDemoUpscaler", "The same without: frame by frame", strength=0.0)),
        column("Motion and prompt", motion(), prompt("3. What to film", "a yellow circle moving left on black at 8 fps"),
               avoid(), frames("14 frames of 64 x 64", 14), prompt("No words needed", "", "@upscaler.clip", "plain", 0)),
        column("A small clip", sampler("Samples the small clip", "@motion.model", "@empty.LATENT", seed=3)),
        column("Decode", decode("@sampler.LATENT", "@demo.temporal_vae")),
        column("Larger", upscale("large", "5. Four times as wide", "upscaler", "@decode.images", "zoetrope/large", 8.0, 12),
               upscale("rough", "Frame by frame, to compare", "still", "@decode.images", "zoetrope/large_frame_by_frame", 8.0, 12),
               width=400),
        column("Compare", node("metrics", "ZoetropeVideoMetrics", "6. Which one flickers?", room=120, images="@large.video",
                               images_2="@rough.video"), width=420),
        column("See", node("plot", "PreviewImage", "Differences frame by frame", room=420, images="@metrics.plot"), width=620),
    ),
)  # fmt: skip


def cascade(name: str, host: str, note: str, between: tuple, prefix: str, words: str, seconds: float, last: str):  # noqa: ANN201
    """Key frames, what fills them in, and the upscaler."""
    return Workflow(
        name, host, note,
        (
            column("Load", demo_model(), node("upscaler", "ZoetropeLoadDemoUpscaler", "The upscaler", strength=1.0)),
            column("Motion and prompts", motion(), timeline("3. What to film, and when it changes", words),
                   avoid(), frames("Only the size counts", 1), prompt("No words needed", "", "@upscaler.clip", "plain", 0),
                   *([timeline("5. The same at 16 per second", "0: a circle moving right on black at 16 fps", key="fast")]
                     if seconds == 4.0 else []), width=400),
            column("Key frames", node(
                "shot", "ZoetropeEndlessShot", "4. The shot: few frames, as long as you like", room=420, model="@motion.model",
                positive="@timeline.conditioning", negative="@negative.CONDITIONING", vae="@demo.vae", latent="@empty.LATENT",
                seed=7, frames=24, fps=seconds, cfg=3.0, filename_prefix=f"zoetrope/{prefix}_1_shot"), width=400),
            *between,
            column("Larger", upscale("large", "8. Four times as wide", "upscaler", last, f"zoetrope/{prefix}_3_large",
                                     0.0 if seconds == 4.0 else 32.0, 8), width=400),
        ),
    )  # fmt: skip


CASCADE = cascade(
    "08_cascade_demo", "0.3.64",
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
        column("In between", node(
            "between", "ZoetropeInterpolateFrames", "6. Four times as many frames", room=350, model="@motion.model",
            positive="@fast.conditioning", negative="@negative.CONDITIONING", vae="@demo.vae", motion="@demo.motion",
            images="@shot.video", factor=4, seed=7, steps=12, cfg=1.0, fps=0.0, filename_prefix="zoetrope/cascade_2_between"),
            width=400),
    ),
    "cascade", "0: a red circle moving right on black at 4 fps\n16: a blue circle moving right on black at 4 fps ~6", 4.0,
    "@between.video",
)  # fmt: skip

CASCADE_CORE = cascade(
    "09_cascade_core_interpolation", "0.25.0",
    """
## The cascade with ComfyUI's own frame interpolation

Where motion is small, RIFE and FILM fill in faster than any diffusion model, and as well. This graph lets them: *Run Frame Interpolation Model* takes the middle of the cascade.

**You need** a RIFE or FILM file in `models/frame_interpolation`; pick it in *5. Pick RIFE or FILM*.

**First, change** the prompt and the number of `frames`. The whole clip is held in memory between the stages here: for very long shots take `08_cascade_demo`, which goes from file to file.
""",
    (
        column("Frames", node("parts", "GetVideoComponents", "Its frames", video="@shot.video"),
               node("film", "FrameInterpolationModelLoader", "5. Pick RIFE or FILM", model_name="rife47.safetensors")),
        column("In between", node("between", "FrameInterpolate", "6. ComfyUI's own interpolation", interp_model="@film.INTERP_MODEL",
                                  images="@parts.images", multiplier=4)),
    ),
    "core_cascade", "0: a red circle moving right on black at 8 fps", 8.0, "@between.IMAGE",
)  # fmt: skip

IMAGE_PROMPT = Workflow(
    "10_image_prompt_demo", "0.3.64",
    """
## A picture as a prompt, nothing to download

Press **Run**. A red square, drawn by core nodes, says what the clip looks like; the text says how it moves. The clip does not begin with the picture (that is `05_image_to_video_demo`): it is *about* it.

**First, change** the square's colour (and its word in the text), or `strength` of *3. What it looks like*: 0 is the text alone.

`strength_by_frame` lets the picture come and go: `0: 1 / 8: 0 ~4`.

**Your own checkpoint:** an IP-Adapter file, in `23_ip_adapter`.
""",
    (
        *PICTURE,
        column(
            "Looks and prompt",
            node("looks", "ZoetropeImagePrompt", "3. What it looks like", model="@motion.model", projector="@demo.projector",
                 clip_vision="@demo.clip_vision", image="@picture.IMAGE"),
            prompt("4. How it moves", "a red square moving right on black at 8 fps"), avoid(),
            frames("16 frames of 64 x 64", 16),
        ),
        column("Sample", sampler("Samples the clip", "@looks.model", "@empty.LATENT", seed=5)),
        column("Decode", decode("@sampler.LATENT")),
        *saving("@decode.images", "zoetrope_image_prompt", enlarged=True),
    ),
)  # fmt: skip

CONTINUE = Workflow(
    "11_continue_a_video_demo", "0.3.64",
    """
## A video goes on, nothing to download

Press **Run**. A clip of 16 frames is filmed, made a video, read again by *5. Encode Video*, and **gone on after**: *7. Endless Shot* keeps the given frames as they are and films what comes behind the last of them.

**A video of your own:** connect **Load Video** to *5. Encode Video*; everything before it can go. The demo model's world is one coloured shape, 64x64 pixels; with your own checkpoint any video will do.

**First, change** *6. How it goes on* and `frames` (how many are added). The files land in `output/zoetrope/continued_...`.
""",
    (
        *demo_clip(RED),
        column("Decode", decode("@sampler.LATENT")),
        column("A video", node("filmed", "CreateVideo", "As a video (or Load Video)", images="@decode.images", fps=8.0)),
        column(
            "Read it",
            node("read", "ZoetropeEncodeVideo", "5. Any video, as latents", images="@filmed.VIDEO", vae="@demo.vae"),
            timeline("6. How it goes on", "0: a red circle moving right on black at 8 fps\n24: a green circle moving right on black at 8 fps ~12",
                     key="next"),
            width=400,
        ),
        column(
            "It goes on",
            node(
                "shot", "ZoetropeEndlessShot", "7. 48 frames more", room=420, model="@motion.model", positive="@next.conditioning",
                negative="@negative.CONDITIONING", vae="@demo.vae", latent="@read.latent", seed=7, frames=48, fps=8.0, cfg=3.0,
                filename_prefix="zoetrope/continued",
            ),
            width=420,
        ),
    ),
)  # fmt: skip

VIDEO_TO_VIDEO = Workflow(
    "12_video_to_video_demo", "0.3.64",
    """
## Another look for a video, nothing to download

Press **Run**. A red circle is filmed; its latents get noise again, and *7. Films it anew* samples from there with another prompt: the motion stays, the look changes.

**First, change** *6. What it becomes*, and `denoise` of *7*: near 0 nothing changes, at 1 nothing of the video is left.

**A video of your own:** connect **Load Video** to *5. Encode Video*. With a real checkpoint, and a ControlNet that holds the shapes: `24_controlnet_video_to_video`.
""",
    (
        *demo_clip(RED),
        column("Decode", decode("@sampler.LATENT")),
        column("A video", node("filmed", "CreateVideo", "As a video (or Load Video)", images="@decode.images", fps=8.0)),
        column(
            "Read it",
            node("read", "ZoetropeEncodeVideo", "5. Any video, as latents", images="@filmed.VIDEO", vae="@demo.vae"),
            prompt("6. What it becomes", "a yellow circle moving right on black at 8 fps", key="becomes"),
        ),
        column("Film it anew", sampler("7. Films it anew", "@motion.model", "@read.latent", "@becomes.CONDITIONING", "again",
                                       denoise=0.85, seed=11)),
        column("Decode", decode("@again.LATENT", key="decoded")),
        *saving("@decoded.images", "zoetrope_video_to_video", enlarged=True),
    ),
)  # fmt: skip

VAE_STUDY = Workflow(
    "13_vae_study_demo", "0.3.64",
    """
## What does time do to a VAE? Nothing to download

Press **Run**. A clip goes through two VAEs and back, as it is and with its time changed: frames dropped, repeated, blended, reversed, shuffled. *VAE 1* decodes frame by frame, *VAE 2* sees the frames around.

In the table, **PSNR** is how near the pictures come (more is better), **jump error** and **flicker** what time does to them (less is better). The plot shows the same.

**First, change** the lines of `changes`, or connect **Load Video** in place of *Decode Video*: a video of yours, 64x64 for the demo VAEs, any size for real ones.

What we found: `docs/vae-and-time.md`.
""",
    (
        *demo_clip("a green triangle moving up on grey at 8 fps"),
        column("Decode", decode("@sampler.LATENT")),
        column("Study", node("study", "ZoetropeVaeRoundTrip", "5. Through both VAEs and back", room=330, images="@decode.images",
                             vae="@demo.vae", vae_2="@demo.temporal_vae", frames=16), width=460),
        column("See", node("plot", "PreviewImage", "Shorter bars are better", room=460, images="@study.plot"), width=640),
    ),
)  # fmt: skip

LONG_CLIPS = Workflow(
    "14_long_clip_windows_demo", "0.3.64",
    """
## Long clips in graphs of your own, nothing to download

Press **Run**. Forty frames by both other ways, each through core's *Sampler Custom Advanced*:

- above, **FIFO Sampler**: frames stand in a queue; *Queue Settings* says how long it is
- below, **Sliding Windows** over the whole clip, with **Long-Shot Noise** (FreeNoise), so that windows make things that belong together

All latents come out at once and are held in memory. For shots without an end take **Endless Shot** (`03_endless_shot_demo`): it writes while it samples.

**First, change** the prompt, `partitions` of the queue, `overlap` of the windows. The files land in `output/zoetrope`.
""",
    (
        column("Load", demo_model(),
               node("queue", "ZoetropeQueueSettings", "The queue", window=16, partitions=2),
               node("noise", "ZoetropeLongShotNoise", "Noise for windows", seed=7, window=16, overlap=8),
               node("plain", "RandomNoise", "Noise for the queue", noise_seed=7)),
        column("Motion and prompt", motion(), prompt("3. What to film", "a cyan square moving down on black at 8 fps"), avoid(),
               frames("One latent is enough", 1, key="one"), frames("All forty", 40, key="all"),
               node("euler", "KSamplerSelect", "Any sampler", sampler_name="euler")),
        column("Ways",
               node("fifo", "ZoetropeFifoSampler", "4. Forty frames by a queue", queue="@queue.queue", frames=40),
               node("windows", "ZoetropeSlidingWindows", "5. Forty frames by windows", model="@motion.model", window=16, overlap=8)),
        column("Guidance",
               node("levels", "BasicScheduler", "32 levels, one for each place", model="@motion.model", scheduler="normal", steps=32,
                    denoise=1.0),
               node("guided", "CFGGuider", "For the queue", model="@motion.model", positive="@prompt.CONDITIONING",
                    negative="@negative.CONDITIONING", cfg=3.0),
               node("guided_2", "CFGGuider", "For the windows", model="@windows.model", positive="@prompt.CONDITIONING",
                    negative="@negative.CONDITIONING", cfg=3.0)),
        column("Sample",
               node("run", "SamplerCustomAdvanced", "By a queue", noise="@plain.NOISE", guider="@guided.GUIDER",
                    sampler="@fifo.sampler", sigmas="@levels.SIGMAS", latent_image="@one.LATENT"),
               node("run_2", "SamplerCustomAdvanced", "By windows", noise="@noise.noise", guider="@guided_2.GUIDER",
                    sampler="@euler.SAMPLER", sigmas="@levels.SIGMAS", latent_image="@all.LATENT")),
        column("Files",
               node("file", "ZoetropeDecodeVideoToFile", "By a queue", room=330, samples="@run.output", vae="@demo.vae", fps=8.0,
                    filename_prefix="zoetrope/by_a_queue"),
               node("file_2", "ZoetropeDecodeVideoToFile", "By windows", room=330, samples="@run_2.output", vae="@demo.vae", fps=8.0,
                    filename_prefix="zoetrope/by_windows"), width=360),
    ),
)  # fmt: skip

SHOT_PLAN = Workflow(
    "15_shot_plan_demo", "0.3.64",
    """
## What will the long night cost? Nothing to download

Press **Run**. *4. Shot Plan* measures one window of this model at this size and reckons what `frames` frames take: **time**, **disk**, **memory**, and the graphics card's memory where there is one. Nothing is filmed.

Where something does not fit, it says which number to lower.

**First, change** `frames` (a day at 8 per second is 691,200), or the *Queue Settings*: more `partitions` are finer and slower, more `context` steadier and slower, more `windows_per_call` faster on large cards.

Then connect the same nodes to **Endless Shot**.
""",
    (
        column("Load", demo_model(), node("queue", "ZoetropeQueueSettings", "3. The queue", context=2, shift=7)),
        column("Motion and prompt", motion(),
               timeline("What to film", "0: a red circle moving right on black at 8 fps\n4800: a blue circle moving up on black at 8 fps ~48"),
               avoid(), frames("Only the size counts", 1), width=420),
        column("Plan", node("plan", "ZoetropeShotPlan", "4. Ten thousand frames", room=20, model="@motion.model",
                            positive="@timeline.conditioning", negative="@negative.CONDITIONING", vae="@demo.vae",
                            latent="@empty.LATENT", queue="@queue.queue", frames=10000, cfg=3.0), width=460),
        column("As text", node("text", "PreviewAny", "The plan as text", room=130, source="@plan.plan"), width=520),
    ),
)  # fmt: skip

COLOUR = Workflow(
    "16_colour_and_segments_demo", "0.3.64",
    """
## Parts of long files, colours put back, and figures. Nothing to download

Press **Run**. A clip is written to a file; *6. Load Video Segment* takes every second frame of its first half, as one would of a file that is too long for memory. *7. Match Colour* gives them the mean and spread of a picture's colours, and *8. Video Metrics* says what that did to flicker and drift.

**First, change** the colours of the drawn picture, or connect **Load Video** and **Load Image**.

Match Colour puts back what an upscaler or a round trip through a VAE has drifted: connect the original frames as its `reference`.
""",
    (
        *demo_clip("a magenta circle moving left on grey at 8 fps"),
        column("A file",
               node("file", "ZoetropeDecodeVideoToFile", "5. A file", room=330, samples="@sampler.LATENT", vae="@demo.vae", fps=8.0,
                    filename_prefix="zoetrope/whole"),
               node("ground", "EmptyImage", "A teal ground", width=64, height=64, batch_size=1, color=1987190),
               node("square", "EmptyImage", "An orange square", width=20, height=20, batch_size=1, color=15764539), width=360),
        column("A part", node("part", "ZoetropeLoadVideoSegment", "6. Every second frame of a part", video="@file.video", start=0,
                              count=8, every=2),
               node("picture", "ImageCompositeMasked", "The colours to take (or Load Image)", destination="@ground.IMAGE",
                    source="@square.IMAGE", x=8, y=22, resize_source=False)),
        column("Colour", node("match", "ZoetropeMatchColour", "7. In other colours", images="@part.images",
                              reference="@picture.IMAGE", method="adain"),
               node("before", "PreviewImage", "Before", room=250, images="@part.images")),
        column("Figures",
               node("after", "PreviewImage", "After", room=250, images="@match.images"),
               node("metrics", "ZoetropeVideoMetrics", "8. What did that do?", room=120, images="@part.images", images_2="@match.images"),
               width=420),
        column("See", node("plot", "PreviewImage", "Frame by frame", room=420, images="@metrics.plot"), width=620),
    ),
)  # fmt: skip

DEMO = (
    TEXT_TO_VIDEO, ENDLESS_SHOT, TEMPORAL_VAE, IMAGE_TO_VIDEO, INTERPOLATE, UPSCALE, CASCADE, CASCADE_CORE, IMAGE_PROMPT, CONTINUE,
    VIDEO_TO_VIDEO, VAE_STUDY, LONG_CLIPS, SHOT_PLAN, COLOUR,
)  # fmt: skip
