"""Nodes that most workflows share."""

from typing import Any

from .drawing import Column, Node, column, node

WORDS = """\
- *a* **red**, green, blue, yellow, cyan, magenta
- **circle**, square, triangle
- **moving right**, left, up, down, or standing still
- *on* **black**, grey, white
- *at* 4, **8** or 16 *fps*"""
"""What the demo model understands."""

SETTLED: dict[str, Any] = {"seed": 7, "steps": 25, "cfg": 3.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0}
"""How the demo model is sampled."""


def demo_model() -> Node:
    return node("demo", "ZoetropeLoadDemoModel", "1. The model that comes with Zoetrope")


def motion(model: str = "@demo.model", module: str = "@demo.motion", title: str = "2. Motion goes in", **more: Any) -> Node:
    return node("motion", "ZoetropeApplyMotionModule", title, model=model, motion=module, **more)


def prompt(title: str, text: str, clip: str = "@demo.clip", key: str = "prompt", room: int = 24) -> Node:
    return node(key, "CLIPTextEncode", title, room=room, tone="good", clip=clip, text=text)


def avoid(text: str = "", clip: str = "@demo.clip", key: str = "negative") -> Node:
    title = "What to avoid" if text else "Left empty"
    return node(key, "CLIPTextEncode", title, tone="bad", clip=clip, text=text)


def timeline(title: str, text: str, clip: str = "@demo.clip", key: str = "timeline") -> Node:
    return node(key, "ZoetropePromptTimeline", title, room=40, tone="good", clip=clip, text=text)


def frames(title: str, count: int, side: int = 64, key: str = "empty", height: int = 0) -> Node:
    return node(key, "EmptyLatentImage", title, width=side, height=height or side, batch_size=count)


def sampler(title: str, model: str, latent: str, positive: str = "@prompt.CONDITIONING", key: str = "sampler",
            negative: str = "@negative.CONDITIONING", **settings: Any) -> Node:  # fmt: skip
    how = {**SETTLED, **settings}
    return node(key, "KSampler", title, model=model, positive=positive, negative=negative, latent_image=latent, **how)


def decode(samples: str, vae: str = "@demo.vae", key: str = "decode", title: str = "Frames") -> Node:
    return node(key, "ZoetropeDecodeVideo", title, samples=samples, vae=vae)


def saving(images: str, prefix: str, fps: float = 8.0, enlarged: bool = False) -> list[Column]:
    """Columns: large pixels for the eye if `enlarged`, a video, its file."""
    larger = node(
        "larger", "ImageScaleBy", "Larger pixels, for the eye", image=images, upscale_method="nearest-exact", scale_by=4.0
    )
    shown = "@larger.IMAGE" if enlarged else images
    create = node("create", "CreateVideo", "Frames become a video", images=shown, fps=fps)
    file = node("save", "SaveVideo", "In output/video", room=350, video="@create.VIDEO", filename_prefix=f"video/{prefix}")
    return [*([column("Larger", larger)] if enlarged else []), column("Video", create), column("Save", file, width=400)]


def demo_clip(what: str, count: int = 16, seed: int = 7, scene: str = "A clip") -> list[Column]:
    """The first three columns of every graph that begins with a clip of the demo model: `sampler` makes it."""
    return [
        column("Load", demo_model()),
        column("Motion and prompt", motion(), prompt("3. What to film", what), avoid(),
               frames("4. batch_size: the number of frames", count)),
        column(scene, sampler("Samples the clip", "@motion.model", "@empty.LATENT", seed=seed)),
    ]  # fmt: skip
