"""Another look for a video, without training: on the embedded model, and on checkpoints of one's own."""

from .drawing import Column, Node, Workflow, column, node
from .own import AS_USUAL, NEVER, checkpoint, module
from .parts import avoid, decode, demo_clip, frames, larger, motion, prompt, sampler, saving

LOOK = "a small sailing boat on a calm bay, watercolour painting"
SOURCE = "a video of a small sailing boat on a calm bay"


def levels(model: str, denoise: float = 1.0) -> Node:
    return node("levels", "BasicScheduler", "Noise levels", model=model, scheduler="normal", steps=25, denoise=denoise)


def euler() -> Node:
    return node("euler", "KSamplerSelect", "Euler", sampler_name="euler")


def read(images: str, vae: str, title: str = "Its latents") -> Node:
    return node("read", "ZoetropeEncodeVideo", title, images=images, vae=vae)


def inversion(model: str, positive: str = "@prompt.CONDITIONING", title: str = "6. Back to noise") -> Node:
    return node("invert", "ZoetropeInvertVideo", title, model=model, positive=positive, latent="@read.latent",
                sigmas="@levels.SIGMAS", refine=1)  # fmt: skip


def resampled(title: str, model: str, latent: str, positive: str, cfg: float, **more: str) -> Node:
    """A sampler that begins with an inverted latent: no noise is added."""
    return node("again", "SamplerCustom", title, model=model, add_noise=False, noise_seed=0, cfg=cfg, positive=positive,
                negative=more.get("negative", "@negative.CONDITIONING"), sampler="@euler.SAMPLER", sigmas="@levels.SIGMAS",
                latent_image=latent)  # fmt: skip


def guided(title: str, model: str, positive: str, negative: str, cfg: float) -> tuple[Node, Node]:
    """A sampler whose noise comes from Long-Shot Noise."""
    return (
        node("guider", "CFGGuider", "Prompts and cfg", model=model, positive=positive, negative=negative, cfg=cfg),
        node("again", "SamplerCustomAdvanced", title, noise="@noise.noise", guider="@guider.GUIDER",
             sampler="@euler.SAMPLER", sigmas="@levels.SIGMAS", latent_image="@read.latent"),
    )  # fmt: skip


def same_noise(title: str) -> Node:
    return node("noise", "ZoetropeLongShotNoise", title, seed=0, mode="same for all frames")


def filmed() -> Node:
    return node("filmed", "CreateVideo", "As a video (or Load Video)", images="@decode.images", fps=8.0)


def watched(samples: str, prefix: str) -> Column:
    return column("Video", decode(samples, key="decoded"), larger("@decoded.images"),
                  *saving("@larger.IMAGE", prefix).nodes, width=324)  # fmt: skip


BY_INVERSION = Workflow(
    "17_another_look_by_inversion_demo", "0.3.64",
    """
## Another look by inversion, nothing to download

Press **Run**. A red circle is filmed. *6. Invert Video* finds the noise from which the sampler gives the same clip again; sampled from it with another prompt, the clip keeps its motion and gets another look. This tiny model may move the shape elsewhere.

**First, change** *7. What it becomes*.

- *3* describes the clip **as it is**; *7* what it becomes.
- Inversion and sampler have the same model and noise levels, and the sampler **adds no noise** (`add_noise` off).
- `refine` 1 makes the way back exact. `cfg` 1 in *8* gives the clip back unchanged.
- Sampler: *euler* or *ddim*. Ancestral samplers add noise, and the clip is lost.

**A video of your own:** connect **Load Video** to *5. Encode Video*, and describe it in *3*. With your own checkpoint: `30_restyle_by_inversion_sd15`.
""",
    (
        *demo_clip("a red circle moving right on black at 8 fps", decode("@sampler.LATENT"), scene="A clip",
                   extra=(prompt("7. What it becomes", "a yellow circle moving right on black at 8 fps", key="becomes"),)),
        column("Inversion", filmed(), read("@filmed.VIDEO", "@demo.vae", "5. Any video, as latents"), levels("@motion.model"), inversion("@motion.model"),
               euler()),
        column("Sample and decode",
               resampled("8. Sample again, no noise added", "@motion.model", "@invert.latent", "@becomes.CONDITIONING", 3.0),
               *watched("@again.output", "zoetrope_inversion").nodes, width=324),
    ),
)  # fmt: skip

LOOK_ACROSS = Workflow(
    "18_look_across_frames_demo", "0.3.64",
    """
## Another look without a motion module, nothing to download

Press **Run**. A magenta square is filmed; then the **image model** alone makes it green. Two nodes keep its frames consistent:

- **6. Look Across Frames**: each frame takes colours and textures from the first and the previous frame
- **8. Long-Shot Noise**, *same for all frames*

**First, change** *7. What it becomes*, and `denoise` of *Noise levels*: near 0 nothing changes; at 1 nothing of the video is left. Bypass *6* (Ctrl+B), or set *8* to *shuffled*, to see the effect of each.

`frames` of *6*: *first frame* is the steadiest, *all frames* the slowest.

**Your own checkpoint**, with a ControlNet for shapes and Follow Flow: `31_restyle_without_motion_sd15`. Closer to the video's motion: `17_another_look_by_inversion_demo`.
""",
    (
        *demo_clip("a magenta square moving down on grey at 8 fps", decode("@sampler.LATENT"), scene="A clip",
                   extra=(prompt("7. What it becomes", "a green square on grey", key="becomes"),)),
        column("The video, and the look", filmed(), read("@filmed.VIDEO", "@demo.vae", "5. Any video, as latents"),
               node("look", "ZoetropeLookAcrossFrames", "6. Attention to other frames", room=60, model="@demo.model"), width=300),
        column("Sample again", same_noise("8. The same noise for all frames"), levels("@demo.model", 0.7), euler(),
               *guided("9. Sample again", "@look.model", "@becomes.CONDITIONING", "@negative.CONDITIONING", 6.0)),
        watched("@again.output", "zoetrope_look_across_frames"),
    ),
)  # fmt: skip

MERGE_ACROSS = Workflow(
    "19_merge_across_frames_demo", "0.3.64",
    """
## Another look with merged tokens, nothing to download

Press **Run**. A magenta triangle is filmed; the **image model** alone makes it green, in windows of four frames.

- **6. Merge Across Frames** (VidToMe): similar tokens of different frames are computed as one, so the same things look the same
- **Sliding Windows**, *moving borders*: other borders at every step, so that no border stays visible; windows share tokens within a step
- **8. Long-Shot Noise**, *same for all frames*

**First, change** *7. What it becomes*, `local_merge_ratio` (lower keeps more of each frame), and `denoise` of *Noise levels*.

Long clips fit: the network gets four frames at a time.

**Your own checkpoint:** `32_merge_across_frames_sdxl`.
""",
    (
        *demo_clip("a magenta triangle moving down on grey at 8 fps", decode("@sampler.LATENT"), scene="A clip",
                   extra=(prompt("7. What it becomes", "a green triangle on grey", key="becomes"),)),
        column("Windows and merging", filmed(), read("@filmed.VIDEO", "@demo.vae", "5. Any video, as latents"),
               node("windows", "ZoetropeSlidingWindows", "Windows with moving borders", model="@demo.model", window=4, overlap=0,
                    window_schedule="moving borders"),
               node("merge", "ZoetropeMergeAcrossFrames", "6. Similar tokens merge", room=60, model="@windows.model"), width=300),
        column("Sample again", same_noise("8. The same noise for all frames"), levels("@demo.model", 0.7), euler(),
               *guided("9. Sample again", "@merge.model", "@becomes.CONDITIONING", "@negative.CONDITIONING", 6.0)),
        watched("@again.output", "zoetrope_merge_across_frames"),
    ),
)  # fmt: skip


def video(title: str = "3. The video") -> Node:
    return node("file", "LoadVideo", title, room=40, file="my_video.mp4")


def parts() -> Node:
    return node("parts", "GetVideoComponents", "Its frames", video="@file.VIDEO")


def canny() -> Node:
    return node("lines", "Canny", "Its lines", image="@parts.images", low_threshold=0.2, high_threshold=0.5)


def control_file(number: int, name: str = "control_v11p_sd15_canny.pth") -> Node:
    return node("control", "ControlNetLoader", f"{number}. A Canny ControlNet", control_net_name=name)


def steered(title: str, positive: str = "@becomes.CONDITIONING", strength: float = 0.8) -> Node:
    return node("steered", "ControlNetApplyAdvanced", title, positive=positive, negative="@negative.CONDITIONING",
                control_net="@control.CONTROL_NET", image="@lines.IMAGE", strength=strength)  # fmt: skip


def becomes(title: str = "What it becomes") -> Node:
    return prompt(title, LOOK, "@base.CLIP", "becomes")


def saved(prefix: str) -> Column:
    return column("Video", decode("@again.output", "@base.VAE"), *saving("@decode.images", prefix, 16.0).nodes, width=324)


INVERSION_SD15 = Workflow(
    "30_restyle_by_inversion_sd15", "0.3.64",
    """
## Your video in another look, by inversion

1. **SD1.x** checkpoint, 2. **AnimateDiff** module, as in `02_text_to_video_sd15_animatediff`.
3. A **video** of up to 32 frames (longer: *Sliding Windows* on the MODEL of both). Press **Run**.

*6. Invert Video* finds the noise from which the sampler gives your video again; with another prompt, the clip keeps its motion and much of its composition.

**First, change** *4. What it shows now* (the video as it is), *7. What it becomes*, and `cfg` of *8*: lower stays closer to the video, 1 gives it back.

The sampler adds **no noise**, and has the same model and noise levels as the inversion. *euler* or *ddim*; ancestral samplers lose the clip.

**Shapes drift?** Let a ControlNet hold them, in *4* and in *7*: nodes as in `24_video_to_video_controlnet`.
""",
    (
        column("Load", checkpoint(), module(), video(), euler()),
        column("Motion and prompts", motion("@base.MODEL", "@module.motion", "Motion goes in"), prompt("4. What it shows now", SOURCE, "@base.CLIP"),
               becomes("7. What it becomes"), avoid(NEVER, "@base.CLIP")),
        column("Inversion", read("@file.VIDEO", "@base.VAE", "5. Its latents"), levels("@motion.model"), inversion("@motion.model")),
        column("Sample again",
               resampled("8. Sample again, no noise added", "@motion.model", "@invert.latent", "@becomes.CONDITIONING", 5.0),
               decode("@again.output", "@base.VAE")),
        saving("@decode.images", "zoetrope_restyled_by_inversion", 16.0),
    ),
)  # fmt: skip

WITHOUT_MOTION = Workflow(
    "31_restyle_without_motion_sd15", "0.3.64",
    """
## Your video in another look, without a motion module

1. **SD1.x** checkpoint. 2. A **ControlNet** for SD1.x (`models/controlnet`): Canny here. 3. A **video**. Press **Run**.

- *4. Look Across Frames*: colours and textures come from the first and the previous frame. `controlnet` on: in the ControlNet too.
- *5. Follow Flow*: the optical flow of your video moves shapes and colours along. It needs **OpenCV** (`pip install opencv-python-headless`); without it, bypass the node (Ctrl+B).
- *Long-Shot Noise*: the same noise for all frames.

**First, change** the prompt, `denoise` of *Noise levels* (lower keeps more of the video), and the ControlNet's `strength`.

Longer than memory: *Sliding Windows* on the MODEL, or several parts with *Load Video Segment*.
""",
    (
        column("Load", checkpoint(), control_file(2), video(), euler()),
        column("Frames and prompts", parts(), canny(), becomes(), avoid(NEVER, "@base.CLIP"), read("@file.VIDEO", "@base.VAE")),
        column("Consistency", node("look", "ZoetropeLookAcrossFrames", "4. Attention to other frames", room=60, model="@base.MODEL",
                                    controlnet=True),
               node("flow", "ZoetropeFollowFlow", "5. Flow of the video", model="@look.model", images="@parts.images"),
               steered("Lines steer the frames"), width=300),
        column("Sample again", same_noise("The same noise for all frames"), levels("@base.MODEL", 0.75),
               *guided("Sample again", "@flow.model", "@steered.positive", "@steered.negative", 7.5)),
        saved("zoetrope_restyled_without_motion"),
    ),
)  # fmt: skip

MERGE_SDXL = Workflow(
    "32_merge_across_frames_sdxl", "0.3.64",
    """
## Your video in another look with SDXL, frames with merged tokens

1. **SDXL** checkpoint. 2. A **Canny ControlNet for SDXL** (`models/controlnet`). 3. A **video**. Press **Run**. No motion module is needed.

- *4. Merge Across Frames* (VidToMe): similar tokens of different frames are computed as one, so the same things look the same.
- *Sliding Windows*, *moving borders*: four frames at a time, with other borders at every step.
- *Long-Shot Noise*: the same noise for all frames.

**First, change** the prompt, `denoise` of *Noise levels* (lower keeps more of the video), and the ControlNet's `strength`.

SDXL has no attention at full resolution: `levels` 2 merges in 10 of its 70 attentions, 3 in all. **SD1.x** works the same way, with its own ControlNet.
""",
    (
        column("Load", checkpoint("1. Any SDXL checkpoint", "sd_xl_base_1.0.safetensors"),
               control_file(2, "diffusers_xl_canny_full.safetensors"), video(), euler()),
        column("Frames and prompts", parts(), canny(), becomes(), avoid(NEVER, "@base.CLIP"), read("@file.VIDEO", "@base.VAE")),
        column("Windows and merging",
               node("windows", "ZoetropeSlidingWindows", "Windows with moving borders", model="@base.MODEL", window=4, overlap=0,
                    window_schedule="moving borders"),
               node("merge", "ZoetropeMergeAcrossFrames", "4. Similar tokens merge", room=60, model="@windows.model", levels=3),
               steered("Lines steer the frames", strength=0.6), width=300),
        column("Sample again", same_noise("The same noise for all frames"), levels("@base.MODEL", 0.75),
               *guided("Sample again", "@merge.model", "@steered.positive", "@steered.negative", 7.0)),
        saved("zoetrope_merged_sdxl"),
    ),
)  # fmt: skip

LORA_FADES_IN = Workflow(
    "33_lora_fades_in_sd15", "0.3.64",
    """
## A LoRA that fades in during a clip

1. **SD1.x** checkpoint, 2. **AnimateDiff** module, as in `02_text_to_video_sd15_animatediff`.
3. A **LoRA** of an image model (`models/loras`) for SD1.x: a style, for example.
4. Press **Run**.

**First, change** `by_frame` of *3*, which multiplies `strength`:

- `0: 0 / 8: 1 ~12`: off at first, fades in around frame 8 over 12 frames
- `0, 1`: from 0 to 1 over the clip; `1, 0` fades out
- two of these nodes one after the other: one LoRA fades out while the next fades in

A **mask** limits the LoRA to an area. In *Endless Shot* frames are counted from the beginning of the shot.

The LoRA's part for text encoders cannot change by frame: *3* leaves it out, and reports it.
""",
    (
        column("Load", checkpoint(), module(),
               node("lora", "ZoetropeLoraByFrame", "3. A LoRA that fades in", model="@base.MODEL", lora_name="my_style.safetensors",
                    by_frame="0: 0 / 8: 1 ~12"),
               node("text", "PreviewAny", "What it changes", source="@lora.report"), width=300),
        column("Motion and prompt", motion("@lora.model", "@module.motion", "Motion goes in"),
               prompt("Prompt", "a small sailing boat drifting across a calm bay at dawn, gentle waves", "@base.CLIP"),
               avoid(NEVER, "@base.CLIP"), frames("4. batch_size: the number of frames", 24, 512)),
        column("Sample and decode", sampler("Samples the clip", "@motion.model", "@empty.LATENT", **AS_USUAL),
               decode("@sampler.LATENT", "@base.VAE")),
        saving("@decode.images", "zoetrope_lora_fades_in"),
    ),
)  # fmt: skip

RESTYLE = (BY_INVERSION, LOOK_ACROSS, MERGE_ACROSS, INVERSION_SD15, WITHOUT_MOTION, MERGE_SDXL, LORA_FADES_IN)
