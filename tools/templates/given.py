"""Long shots with given frames: closed loops, keyframes, masks, on the embedded model."""

from typing import Any

from .drawing import Node, Workflow, column, node
from .parts import avoid, demo_clip, demo_model, frames, motion, prompt

RED = "a red circle moving right on black at 8 fps"


def shot(title: str, prefix: str, positive: str = "@prompt.CONDITIONING", latent: str = "@empty.LATENT", **more: Any) -> Node:
    settings = {"seed": 0, "frames": 48, "fps": 8.0, "cfg": 3.0, "filename_prefix": f"zoetrope/{prefix}", **more}
    return node(
        "shot", "ZoetropeEndlessShot", title, room=420, model="@motion.model", positive=positive, latent=latent,
        negative="@negative.CONDITIONING", vae="@demo.temporal_vae", **settings,
    )  # fmt: skip


LOOP = Workflow(
    "36_closed_loop_demo", "0.3.64",
    """
## A shot that ends where it begins, nothing to download

Press **Run**. *5. Endless Shot* with `loop` on makes a clip that can be repeated without a jump: while the last frames are sampled, the first ones already stand behind them.

**First, change** the prompt or `frames`. A loop needs at least as many frames as a window has (16), and its length is fixed: another length is another shot.

With a **Prompt Timeline**, let the last prompt be the first one again. The video is in `output/zoetrope/loop_...`.
""",
    (
        column("Model and prompt", demo_model(), prompt("3. Prompt", RED), avoid(), frames("4. Only the size counts", 1)),
        column("Motion", motion()),
        column("Closed loop", shot("5. loop is on", "loop", loop=True), width=440),
    ),
)  # fmt: skip


def picture(key: str, title: str, color: int, x: int) -> tuple[Node, ...]:
    """A square on black, drawn by core nodes."""
    return (
        node(f"{key}_shape", "EmptyImage", f"{title}: the shape", width=20, height=20, batch_size=1, color=color),
        node(key, "ImageCompositeMasked", title, destination="@ground.IMAGE", source=f"@{key}_shape.IMAGE", x=x, y=22,
             resize_source=False),
    )  # fmt: skip


KEYFRAMES = Workflow(
    "37_keyframes_demo", "0.3.64",
    """
## A shot through three pictures, nothing to download

Press **Run**. Core nodes draw three pictures of a red square; **Keyframes** puts them at frames 0, 24 and 47 of an **Endless Shot**. Each of these frames is its picture, and the frames between them lead from one to the next.

**First, change**

- `frames`: where each picture is, one number for each
- `strength`: below 1 the frame is a blend of the picture and what the model generates
- `reach`: frames around a picture that are drawn towards it
- the pictures: connect **Load Image** instead (64x64, one coloured shape on a plain ground)

Works with any checkpoint and motion module. The video is in `output/zoetrope/keyframes_...`.
""",
    (
        column(
            "Model and prompt", demo_model(), prompt("3. Prompt", "a red square moving right on black at 8 fps"), avoid(),
            frames("4. Only the size counts", 1),
        ),
        column(
            "Pictures", node("ground", "EmptyImage", "The ground: black", width=64, height=64, batch_size=1, color=657930),
            *picture("first", "First picture", 15411497, 4), *picture("second", "Second picture", 15411497, 22),
        ),
        column(
            "Batch", *picture("third", "Third picture", 15411497, 40),
            node("two", "ImageBatch", "Two pictures", image1="@first.IMAGE", image2="@second.IMAGE"),
            node("three", "ImageBatch", "Three pictures", image1="@two.IMAGE", image2="@third.IMAGE"),
            motion(title="2. Motion"),
        ),
        column(
            "Shot", node("keys", "ZoetropeKeyframes", "5. Frame of each picture", images="@three.IMAGE", frames="0, 24, 47",
                         strength=1.0, reach=0),
            shot("6. Passes through the pictures", "keyframes", keyframes="@keys.keyframes"), width=440,
        ),
    ),
)  # fmt: skip

MASKED = Workflow(
    "38_masked_continuation_demo", "0.3.64",
    """
## Part of a video stays, the rest is generated and goes on, nothing to download

Press **Run**. A clip of 16 frames is sampled. Then **Set Latent Noise Mask** marks its lower half: **Endless Shot** keeps the upper half of these frames as it is, generates the lower half anew, and continues with whole frames after frame 15.

**First, change** the mask (white is generated), or connect **Encode Video** with a video of your own instead of the sampler. With a single latent the mask counts for all frames: one still picture, one part of it moving without end.

The video is in `output/zoetrope/masked_...`.
""",
    (
        *demo_clip(
            RED,
            node("keep", "SolidMask", "Kept: black", value=0.0, width=64, height=64),
            node("make", "SolidMask", "Generated: white", value=1.0, width=64, height=32),
            node("mask", "MaskComposite", "5. Mask: the lower half", destination="@keep.MASK", source="@make.MASK", x=0, y=32,
                 operation="add"),
            scene="Clip and mask",
        ),
        column(
            "Shot", node("masked", "SetLatentNoiseMask", "6. Latents with the mask", samples="@sampler.LATENT", mask="@mask.MASK"),
            shot("7. Upper half kept, then whole frames", "masked", latent="@masked.LATENT", frames=32), width=440,
        ),
    ),
)  # fmt: skip

ANCHOR = Workflow(
    "45_shot_anchor_demo", "0.3.64",
    """
## A shot that keeps its colours, nothing to download

Press **Run**. The prompt names no colour, so the model chooses one; *5. Shot Anchor* makes the first frames of the shot an image prompt for all later ones.

**First, change**

- `strength`: 0 is the shot without the anchor
- `refresh`: above 0 newer frames are mixed in, and slow changes are allowed
- `strength_by_frame` of the anchor: `0: 1 / 48: 0 ~12` ends it at frame 60

With your own checkpoint: **Load Image Projector** (IP-Adapter) and **Load CLIP Vision** in place of the demo model's. The video is in `output/zoetrope/anchor_...`.
""",
    (
        column("Model and prompt", demo_model(), prompt("3. No colour", "a triangle moving up on black at 8 fps"), avoid(),
               frames("4. Only the size counts", 1)),
        column("Motion and anchor", motion(),
               node("anchor", "ZoetropeAnchor", "5. The shot's own first frames", projector="@demo.projector",
                    clip_vision="@demo.clip_vision", strength=1.0, frame=0, frames=4, refresh=0.0)),
        column("Shot", shot("6. anchor connected", "anchor", anchor="@anchor.anchor", frames=64), width=440),
    ),
)  # fmt: skip

GIVEN = (LOOP, KEYFRAMES, MASKED, ANCHOR)
