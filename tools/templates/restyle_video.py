"""Another look for a long video, from file to file: on the embedded model, and on a checkpoint of one's own."""

from typing import Any

from .drawing import Node, Workflow, column, node
from .own import NEVER, checkpoint, module
from .parts import avoid, demo_model, frames, motion, prompt
from .restyle import becomes, control_file, video


def restyled(title: str, images: str, vae: str, **more: Any) -> Node:
    given = {"model": "@motion.model", "positive": "@becomes.CONDITIONING", "negative": "@negative.CONDITIONING", **more}
    return node("restyle", "ZoetropeRestyleVideo", title, room=420, images=images, vae=vae, seed=0, **given)


DEMO_FILE = Workflow(
    "34_restyle_a_long_video_demo", "0.3.64",
    """
## Another look for a video of any length, nothing to download

Press **Run**. *4. Endless Shot* makes a video of 48 frames. *6. Restyle Video* reads it frame by frame, gives it another look and writes it to `output/zoetrope`: any length fits in memory.

**First, change** *5. What it becomes*, and `denoise` of *6*: lower stays closer to the video.

- `start`: *inversion* begins with the noise that belongs to the video.
- `grey_source` on: the video is encoded without its colours, so the prompt sets them.
- **Stop and run again:** it continues where it stopped.

**A video of your own:** connect **Load Video** to *6* in place of *4*, and describe it in *2*. With your own checkpoint: `35_restyle_a_long_video_sd15`.
""",
    (
        column("Model and words", demo_model(), prompt("2. What the video shows", "a red circle moving right on black at 8 fps"), avoid(),
               frames("Only the size counts", 1)),
        column("A video", motion(title="3. Motion goes in"),
               node("shot", "ZoetropeEndlessShot", "4. A video (or Load Video)", room=300, model="@motion.model",
                    positive="@prompt.CONDITIONING", negative="@negative.CONDITIONING", vae="@demo.vae", latent="@empty.LATENT",
                    seed=0, frames=48, fps=8.0, cfg=3.0, filename_prefix="zoetrope/before_restyling"), width=340),
        column("Another look", prompt("5. What it becomes", "a green circle moving right on black at 8 fps", key="becomes"),
               restyled("6. Restyled, from file to file", "@shot.video", "@demo.vae", source_prompt="@prompt.CONDITIONING",
                        denoise=0.6, cfg=3.0, grey_source=True, filename_prefix="zoetrope/restyled"), width=400),
    ),
)  # fmt: skip

OWN_FILE = Workflow(
    "35_restyle_a_long_video_sd15", "0.3.64",
    """
## Your video of any length in another look

1. **SD1.x** checkpoint, 2. **AnimateDiff** module, as in `02_text_to_video_sd15_animatediff`. 3. A **video** of any length, with its sound. 4. A Canny **ControlNet** for SD1.x (`models/controlnet`). Press **Run**.

The video is read, sampled and written window by window; windows end at scene cuts. **Stop and run again:** it continues where it stopped.

**First, change** *6. What it becomes*, and `denoise` of *7* (lower keeps more of the video).

- `hint` *canny*: lines of the video, computed frame by frame; the picture of *Apply ControlNet* is replaced. For depth or poses, connect a video of them to `hints` and choose *as connected*.
- `start` *inversion* keeps motion best, and needs *5. What it shows now*. *noise by frame* takes half the time.
- Which way to choose: `docs/restyle.md`.
""",
    (
        column("Load", checkpoint(), module(), video(), control_file(4)),
        column("Motion and prompts", motion("@base.MODEL", "@module.motion", "Motion goes in"),
               prompt("5. What it shows now", "a video of a small sailing boat on a calm bay", "@base.CLIP"),
               becomes("6. What it becomes"), avoid(NEVER, "@base.CLIP"),
               node("any", "EmptyImage", "Any picture: it is replaced", width=64, height=64, batch_size=1)),
        column("Another look",
               node("steered", "ControlNetApplyAdvanced", "Lines hold the shapes", positive="@becomes.CONDITIONING",
                    negative="@negative.CONDITIONING", control_net="@control.CONTROL_NET", image="@any.IMAGE", strength=0.8),
               restyled("7. Restyled, from file to file", "@file.VIDEO", "@base.VAE", source_prompt="@prompt.CONDITIONING",
                        positive="@steered.positive", negative="@steered.negative", hint="canny",
                        filename_prefix="zoetrope/restyled"), width=400),
    ),
)  # fmt: skip

RESTYLE_VIDEO = (DEMO_FILE, OWN_FILE)
