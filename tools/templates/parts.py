"""Nodes that most workflows share."""

from typing import Any

from .drawing import Column, Node, column, node

WORDS = """\
- *a* **red**, green, blue, yellow, cyan, magenta
- **circle**, square, triangle
- **moving right**, left, up, down, or standing still
- *on* **black**, grey, white
- *at* 4, **8** or 16 *fps*"""
"""Vocabulary of the demo model, for notes."""

SETTLED: dict[str, Any] = {"seed": 0, "steps": 25, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
"""Sampling settings of the demo model."""


def demo_model() -> Node:
    return node("demo", "ZoetropeLoadDemoModel", "1. The demo model")


def motion(
    model: str | None = "@demo.model", module: str | None = "@demo.motion", title: str = "2. Motion goes in", **more: Any
) -> Node:
    return node("motion", "ZoetropeApplyMotionModule", title, model=model, motion=module, **more)


def prompt(title: str, text: str, clip: str | None = "@demo.clip", key: str = "prompt", room: int = 24) -> Node:
    return node(key, "CLIPTextEncode", title, room=room, tone="good", clip=clip, text=text)


def avoid(text: str = "", clip: str | None = "@demo.clip", key: str = "negative") -> Node:
    title = "What to avoid" if text else "Left empty"
    return node(key, "CLIPTextEncode", title, tone="bad", clip=clip, text=text)


def timeline(title: str, text: str, clip: str | None = "@demo.clip", key: str = "timeline") -> Node:
    return node(key, "ZoetropePromptTimeline", title, room=40, tone="good", clip=clip, text=text)


def frames(title: str, count: int, side: int = 64, key: str = "empty", height: int = 0) -> Node:
    return node(key, "EmptyLatentImage", title, width=side, height=height or side, batch_size=count)


def sampler(title: str, model: str, latent: str, positive: str = "@prompt.CONDITIONING", key: str = "sampler",
            negative: str = "@negative.CONDITIONING", **settings: Any) -> Node:  # fmt: skip
    how = {**SETTLED, **settings}
    return node(key, "KSampler", title, model=model, positive=positive, negative=negative, latent_image=latent, **how)


def decode(samples: str, vae: str | None = "@demo.vae", key: str = "decode", title: str = "Frames") -> Node:
    return node(key, "ZoetropeDecodeVideo", title, samples=samples, vae=vae)


def larger(images: str) -> Node:
    """Larger pixels: the demo model's frames are 64 wide."""
    return node(
        "larger", "ImageScaleBy", "Larger pixels, for the eye", image=images, upscale_method="nearest-exact", scale_by=4.0
    )


def saving(images: str, prefix: str, fps: float = 8.0) -> Column:
    """Frames become a video, the video a file."""
    create = node("create", "CreateVideo", "Frames become a video", images=images, fps=fps)
    file = node("save", "SaveVideo", "In output/video", room=300, video="@create.VIDEO", filename_prefix=f"video/{prefix}")
    return column("Video", create, file, width=324)


def demo_clip(what: str, *then: Node, count: int = 16, extra: tuple[Node, ...] = (), scene: str = "Sample") -> list[Column]:
    """The first two columns of every graph that begins with a clip of the demo model: `sampler` makes it.

    extra   more words, in the first column
    then    what follows the sampler, in the second
    """
    return [
        column("Model and words", demo_model(), prompt("3. What to film", what), avoid(), *extra,
               frames("4. batch_size: the number of frames", count)),
        column(scene, motion(), sampler("Samples the clip", "@motion.model", "@empty.LATENT"), *then),
    ]  # fmt: skip
