"""Sample sheets during training: pictures with their reconstructions, clips of a few prompts."""

from collections.abc import Mapping
from typing import Any

import torch
from PIL.Image import Image

from ...demo.world import draw, film
from ...hosts.diffusers.demo.model import Demo
from ...hosts.diffusers.demo.superres import Upscaler
from ...video.quality.sheet import contact_sheet
from ..loop import Show
from .worlds import PLAIN, World

PROMPTS = (
    "a red circle moving right on black",
    "a green square moving up on white",
    "a blue triangle moving left on grey",
    "a yellow circle moving down on black",
    "a cyan square standing still on grey",
    "a magenta triangle moving right on white",
)
FRAMES = 16
STEPS = 15


def show_vae(size: int, world: World = PLAIN) -> Show:
    """Sheet of the VAE: ground truth above reconstruction."""
    generator = torch.Generator().manual_seed(5)
    truth = torch.cat([world.film(world.draw(generator), 1, size) for _ in range(12)])

    @torch.inference_mode()
    def show(modules: Mapping[str, Any]) -> Image:
        vae = modules["vae"]
        decoded = vae.decode(vae.encode(truth.to(vae.device) * 2 - 1).latent_dist.mean).sample / 2 + 0.5
        return contact_sheet([truth, decoded.cpu()], scale=2)

    return show


def show_decoder(size: int) -> Show:
    """Sheet of the temporal decoder: two clips, ground truth above reconstruction."""
    generator = torch.Generator().manual_seed(5)
    clips = [film(draw(generator, motion=motion), FRAMES, size) for motion in ("moving right", "moving up")]

    @torch.inference_mode()
    def show(modules: Mapping[str, Any]) -> Image:
        vae = modules["decoder"]
        rows = []
        for clip in clips:
            rows += [clip, vae.decode(vae.encode(clip * 2 - 1)) / 2 + 0.5]
        return contact_sheet(rows, scale=2)

    return show


def show_clips(vae: Any) -> Show:
    """Sheet of clips, one row per prompt; without a motion module, frames are independent."""

    def show(modules: Mapping[str, Any]) -> Image:
        demo = Demo(vae, modules["unet"], modules["text"], modules.get("motion"))
        return contact_sheet(list(demo.generate_batch(list(PROMPTS), FRAMES, list(range(len(PROMPTS))), steps=STEPS)))

    return show


def show_upscaler(vae: Any, text: Any, run: Any) -> Show:
    """Sheet of two clips: input, upscaled without and with temporal layers, ground truth."""
    generator = torch.Generator().manual_seed(5)
    moves = ("moving right", "moving up")
    clips = [film(draw(generator, motion=motion, x=0.45, y=0.55), run.frames, 256, 16) for motion in moves]

    @torch.inference_mode()
    def show(modules: Mapping[str, Any]) -> Image:
        rows = []
        for clip in clips:
            small = torch.nn.functional.avg_pool2d(clip, 4)
            rows.append(small.repeat_interleave(4, -1).repeat_interleave(4, -2))
            for motion in (None, modules["motion"]):
                rows.append(torch.stack(list(Upscaler(vae, modules["unet"], text, motion).enlarge(small, seed=1, steps=10))))
            rows.append(clip)
        return contact_sheet([row[:, :, 64:192, 64:192] for row in rows])

    return show
