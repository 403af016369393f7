"""Long shots: on the embedded model, and on a checkpoint of one's own."""

from .demo import RED
from .drawing import Workflow, column, node
from .given import GIVEN
from .own import BOAT, NEVER, applied, checkpoint, module
from .parts import WORDS, avoid, decode, demo_clip, demo_model, frames, motion, prompt, timeline

ENDLESS_SHOT = Workflow(
    "03_endless_shot_demo", "0.3.64",
    f"""
## A shot without an end, nothing to download

Press **Run**. The shot is written while it is sampled, to `output/zoetrope/demo_shot_00001`; finished frames show on the filmstrip under the node.

**First, change** the lines of *3. What to film*: `frame: prompt`, and `~16` for a cross-fade over 16 frames. Or drag the edges and dots of the bars below. The demo model knows:

{WORDS}

**Stop it** whenever you like, or let it crash: run the same graph again and it continues from the same frame, bit for bit.

**Raise** `frames` and run again: the shot gets longer. Another `vae` or `fps` decodes it again; any other change starts a new shot, and the node names the change.

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
                positive="@timeline.conditioning", negative="@negative.CONDITIONING", vae="@demo.temporal_vae", latent="@empty.LATENT",
                seed=0, frames=96, fps=8.0, cfg=3.0, filename_prefix="zoetrope/demo_shot",
            ),
            width=440,
        ),
    ),
)  # fmt: skip

LIVE = Workflow(
    "42_live_shot_demo", "0.3.64",
    f"""
## A video in another look while it is read, nothing to download

Press **Run**. A clip of a red circle is sampled and written to a file. **Live Shot** reads this file frame by frame: each frame gets noise, passes two levels of a short queue, and leaves it as a blue circle. The newest frames are on the filmstrip.

**A source of your own:** connect **Load Video**, or disconnect `video` and set `folder` to a folder in ComfyUI's input folder that another program writes pictures into. It then runs until **Interrupt**; run it again to go on.

**First, change** the prompt, `strength` (low keeps the source), `levels`, `block` and `guidance`. The demo model knows:

{WORDS}

It is not a few-step model, so its result is rough. With a checkpoint of your own use an LCM or Lightning LoRA, and TAESD as `vae`. The files are in `output/zoetrope/live_...`.
""",
    (
        *demo_clip(RED, count=32, scene="The source"),
        column(
            "As a file",
            node(
                "file", "ZoetropeDecodeVideoToFile", "5. The source (or Load Video)", room=185, samples="@sampler.LATENT",
                vae="@demo.temporal_vae", fps=8.0, filename_prefix="zoetrope/live_source",
            ),
            prompt("6. The new look", "a blue circle moving right on black at 8 fps", key="look"),
            width=360,
        ),
        column(
            "Live",
            node(
                "live", "ZoetropeLiveShot", "7. Frames enter and leave", room=420, model="@motion.model",
                positive="@look.CONDITIONING", negative="@negative.CONDITIONING", vae="@demo.vae", width=64, height=64, seed=0,
                strength=0.7, levels=2, block=4, context=4, guidance="full", guidance_scale=3.0, filename_prefix="zoetrope/live",
                video="@file.video",
            ),
            width=440,
        ),
    ),
)  # fmt: skip

CONTINUE = Workflow(
    "11_continue_a_video_demo", "0.3.64",
    """
## Continue a video, nothing to download

Press **Run**. A clip of 16 frames is filmed, made a video, read again by *5. Encode Video*, and **continued**: *7. Endless Shot* keeps the given frames unchanged and samples the frames after the last one.

**A video of your own:** connect **Load Video** to *5. Encode Video*; everything before it can go. The demo model's world is one coloured shape, 64x64 pixels; with your own checkpoint any video will do.

**First, change** *6. How it continues* and `frames` (how many are added). The files land in `output/zoetrope/continued_...`.
""",
    (
        *demo_clip(RED, decode("@sampler.LATENT"), scene="A clip"),
        column(
            "Any video",
            node("filmed", "CreateVideo", "As a video (or Load Video)", images="@decode.images", fps=8.0),
            node("read", "ZoetropeEncodeVideo", "5. Any video, as latents", images="@filmed.VIDEO", vae="@demo.vae"),
            timeline("6. How it continues", "0: a red circle moving right on black at 8 fps\n24: a green circle moving right on black at 8 fps ~12",
                     key="next"),
            width=360,
        ),
        column(
            "It goes on",
            node(
                "shot", "ZoetropeEndlessShot", "7. 48 frames more", room=420, model="@motion.model", positive="@next.conditioning",
                negative="@negative.CONDITIONING", vae="@demo.vae", latent="@read.latent", seed=0, frames=48, fps=8.0, cfg=3.0,
                filename_prefix="zoetrope/continued",
            ),
            width=380,
        ),
    ),
)  # fmt: skip

LONG_CLIPS = Workflow(
    "14_long_clips_fifo_windows_demo", "0.3.64",
    """
## Long clips in graphs of your own, nothing to download

Press **Run**. Forty frames by both other ways, each through core's *Sampler Custom Advanced*:

- above, **FIFO Sampler**: frames stand in a queue; *Queue Settings* sets its length
- below, **Sliding Windows** over the whole clip, with **Long-Shot Noise** (FreeNoise), so that neighbouring windows match

**Guidance Interval** limits `cfg` to a part of the sampling; the demo model needs it in the first third only. Set its `end` to 1 to see what guidance at every step does to shapes.

All latents come out at once and are held in memory. For shots without an end take **Endless Shot** (`03_endless_shot_demo`): it writes while it samples.

**First, change** the prompt, `partitions` of the queue, `overlap` of the windows. The files land in `output/zoetrope`.
""",
    (
        column("Model and words", demo_model(), prompt("3. What to film", "a cyan square moving down on black at 8 fps"), avoid(),
               frames("One latent is enough", 1, key="one"), frames("All forty", 40, key="all")),
        column("Motion, queue and noise", motion(),
               node("interval", "ZoetropeGuidanceInterval", "Guidance in the first third", model="@motion.model", start=0.0,
                    end=0.325),
               node("queue", "ZoetropeQueueSettings", "The queue", window=16, partitions=2),
               node("noise", "ZoetropeLongShotNoise", "Noise for windows", seed=0, window=16, overlap=8)),
        column("Two ways, and guidance",
               node("fifo", "ZoetropeFifoSampler", "4. Forty frames by a queue", queue="@queue.queue", frames=40),
               node("windows", "ZoetropeSlidingWindows", "5. Forty frames by windows", model="@interval.model", window=16, overlap=8),
               node("levels", "BasicScheduler", "32 levels, one for each place", model="@motion.model", scheduler="normal", steps=32,
                    denoise=1.0),
               node("guided", "CFGGuider", "For the queue", model="@interval.model", positive="@prompt.CONDITIONING",
                    negative="@negative.CONDITIONING", cfg=3.0),
               node("guided_2", "CFGGuider", "For the windows", model="@windows.model", positive="@prompt.CONDITIONING",
                    negative="@negative.CONDITIONING", cfg=3.0)),
        column("Sample", node("plain", "RandomNoise", "Noise for the queue", noise_seed=0),
               node("euler", "KSamplerSelect", "Any sampler", sampler_name="euler"),
               node("run", "SamplerCustomAdvanced", "By a queue", noise="@plain.NOISE", guider="@guided.GUIDER",
                    sampler="@fifo.sampler", sigmas="@levels.SIGMAS", latent_image="@one.LATENT"),
               node("run_2", "SamplerCustomAdvanced", "By windows", noise="@noise.noise", guider="@guided_2.GUIDER",
                    sampler="@euler.SAMPLER", sigmas="@levels.SIGMAS", latent_image="@all.LATENT")),
        column("Files",
               node("file", "ZoetropeDecodeVideoToFile", "By a queue", room=210, samples="@run.output", vae="@demo.vae", fps=8.0,
                    filename_prefix="zoetrope/by_a_queue"),
               node("file_2", "ZoetropeDecodeVideoToFile", "By windows", room=210, samples="@run_2.output", vae="@demo.vae", fps=8.0,
                    filename_prefix="zoetrope/by_windows"), width=324),
    ),
)  # fmt: skip

SHOT_PLAN = Workflow(
    "15_plan_a_long_shot_demo", "0.3.64",
    """
## What will the long night cost? Nothing to download

Press **Run**. *4. Shot Plan* measures one window of this model at this size and estimates the cost of `frames` frames: **time**, **disk**, **memory**, and the graphics card's memory where there is one. Nothing is filmed.

Where something does not fit, the plan names the number to lower.

**First, change** `frames` (a day at 8 per second is 691,200), or the *Queue Settings*: more `partitions` are finer and slower, more `context` steadier and slower, more `windows_per_call` faster on large cards.

Then connect the same nodes to **Endless Shot**.
""",
    (
        column("Model and queue", demo_model(), node("queue", "ZoetropeQueueSettings", "3. The queue", context=2, shift=7),
               avoid(), frames("Only the size counts", 1)),
        column("Motion and words", motion(),
               timeline("What to film", "0: a red circle moving right on black at 8 fps\n4800: a blue circle moving up on black at 8 fps ~48"), width=380),
        column("Plan", node("plan", "ZoetropeShotPlan", "4. Ten thousand frames", room=20, model="@motion.model",
                            positive="@timeline.conditioning", negative="@negative.CONDITIONING", vae="@demo.vae",
                            latent="@empty.LATENT", queue="@queue.queue", frames=10000, cfg=3.0),
               node("text", "PreviewAny", "The plan as text", room=130, source="@plan.plan"), width=500),
    ),
)  # fmt: skip

SHOT = Workflow(
    "27_endless_shot_sd15", "0.3.64",
    """
## An endless shot with your own checkpoint

1. **SD1.x** checkpoint, 2. **AnimateDiff** module, as in `02_text_to_video_sd15_animatediff`.
3. The **timeline**: `frame: prompt`, and `~24` for a cross-fade over 24 frames; or drag the bars.
4. Press **Run**. Memory does not grow with the length; the file grows in `output/zoetrope/shot_...`.

**Stopped, crashed, out of power?** Run again: it continues from the same frame, bit for bit. **Longer?** Raise `frames` and run again.

**First, change** the timeline. Before a long night connect the same nodes to *Shot Plan* (`15_plan_a_long_shot_demo`): it estimates time, memory and disk.

Out of memory: lower `window` in *Queue Settings* (16 is what AnimateDiff was trained on), then width and height.
""",
    (
        column("Load", checkpoint(), module()),
        column("Motion and prompts", applied(),
               timeline("What to film, and when it changes",
                        f"0: {BOAT}\n96: a small sailing boat in a storm at dusk, high waves, film still ~32", "@base.CLIP"),
               avoid(NEVER, "@base.CLIP"), frames("Only the size counts", 1, 512), width=440),
        column("The shot", node("shot", "ZoetropeEndlessShot", "4. Raise frames and run again: it goes on", room=420,
                                model="@motion.model", positive="@timeline.conditioning", negative="@negative.CONDITIONING",
                                vae="@base.VAE", latent="@empty.LATENT", seed=0, frames=192, fps=8.0, cfg=7.5), width=440),
    ),
)  # fmt: skip

SHOT_WAN = Workflow(
    "43_endless_shot_wan", "0.3.64",
    """
## An endless shot with Wan, LTX-Video or Cosmos

Files of the smallest Wan (repackaged for ComfyUI, Comfy-Org/Wan_2.1_ComfyUI_repackaged on Hugging Face):

1. `wan2.1_t2v_1.3B_fp16.safetensors` in `models/diffusion_models`
2. `umt5_xxl_fp8_e4m3fn_scaled.safetensors` in `models/text_encoders`
3. `wan_2.1_vae.safetensors` in `models/vae`

Press **Run**. `frames` counts frames; a latent has 4 (the first one 1), a window 21 latents. Memory does not grow, the file grows in `output/zoetrope/wan_...`. **Stopped?** Run again: it continues at the same frame. **Longer?** Raise `frames`.

**First, change** the timeline; in Wan each latent has its own prompt.

**Other models:** *Wan 2.2 5B* (`wan2.2_ti2v_5B_fp16.safetensors`, `wan2.2_vae.safetensors`, latent from *Wan22ImageToVideoLatent*, which also sets a first frame) and *LTX-Video* (its checkpoint, `t5xxl_fp16.safetensors`, *EmptyLTXVLatentVideo* or *LTXVImgToVideo*, *LTXVConditioning*).

**An experiment:** these weights were trained with one noise level per clip. Pusa (a LoRA for Wan 14B) and SkyReels-V2-DF 14B were trained with one per frame. With few-step LoRAs connect 4 to 8 *sigmas* and set `cfg` to 1.
""",
    (
        column("Load", node("model", "UNETLoader", "1. Wan text to video", unet_name="wan2.1_t2v_1.3B_fp16.safetensors"),
               node("text", "CLIPLoader", "2. Its text encoder", clip_name="umt5_xxl_fp8_e4m3fn_scaled.safetensors", type="wan"),
               node("vae", "VAELoader", "3. Its VAE", vae_name="wan_2.1_vae.safetensors")),
        column("Prompts and size",
               timeline("What to film, and when it changes",
                        f"0: {BOAT}\n160: a small sailing boat in a storm at dusk, high waves, film still", "@text.CLIP"),
               avoid(NEVER, "@text.CLIP"),
               node("empty", "EmptyHunyuanLatentVideo", "Only the size counts", width=832, height=480, length=81, batch_size=1),
               width=440),
        column("The shot", node("shot", "ZoetropeEndlessShot", "4. Raise frames and run again: it goes on", room=420,
                                model="@model.MODEL", positive="@timeline.conditioning", negative="@negative.CONDITIONING",
                                vae="@vae.VAE", latent="@empty.LATENT", seed=0, frames=321, fps=16.0, cfg=6.0,
                                filename_prefix="zoetrope/wan"), width=440),
    ),
)  # fmt: skip

LONG = (ENDLESS_SHOT, LIVE, CONTINUE, LONG_CLIPS, SHOT_PLAN, SHOT, SHOT_WAN, *GIVEN)
