"""Loss of the picture stage: clips that begin with a given picture, or have its content; the text has the motion.

IP-Adapter (arXiv 2308.06721) trains its projector, keys and values with a frozen UNet; here UNet and motion module are trained
as well, as neither is final at this size, and steps without a picture preserve text-to-video.
"""

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor

from ...demo.text import TextEncoder
from ...demo.world import draw, film, write_caption
from ...hosts.diffusers.image_prompt import picture_in, states_of
from ...models.image_prompt.families import IP_ADAPTER
from ...models.image_prompt.family import EncoderInput
from ...models.image_prompt.loading import ImageProjector
from ...models.image_prompt.pixels import pixels_of
from ...models.motion.module import MotionModule
from ..loop import Loss
from .captions import caption_of
from .config import PictureRun, SightRun
from .denoising import Batch, denoising_error, draw_paths, pick, video_loss
from .levels import draw_levels
from .library import FPS, LENGTH, Library, pick_rate

LOOK: EncoderInput = IP_ADAPTER.look({"latents.table": ()})
"""Input of IP-Adapter plus's image encoder."""


@dataclass(frozen=True)
class Shown:
    """A batch of clips with a picture each."""

    batch: Batch
    pixels: Tensor
    """`b 3 h w`, normalised; zero where there is none."""


def sight_loss(run: SightRun, text: TextEncoder, vision: Any, projector: ImageProjector) -> Loss:
    """Makes the loss of the sight stage: distance of a picture's tokens to those of a text of its content."""

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        pixels, prompts = [], []
        for _ in range(run.batch):
            scene = draw(data)
            rest, first = (int(n) for n in torch.randint(0, 2, (2,), generator=data))
            kept = float(torch.rand((), generator=data)) >= run.dropped_pictures
            pixels.append(pixels_of(film(scene, 1, run.size, FPS, 8 * first, bool(rest)), run.size, False) * kept)
            content = {"colour": scene.colour, "shape": scene.shape, "background": scene.background}
            prompts.append(write_caption(content) if kept else "")
        with torch.no_grad():
            target = text(text.tokenize(prompts))
        value = (projector.projector(states_of(vision, torch.cat(pixels), LOOK)) - target).square().mean()
        return value, {"words": float(value.detach())}

    return loss


def picture_loss(
    run: PictureRun, library: Library, unet: Any, text: TextEncoder, motion: MotionModule, vision: Any,
    projector: ImageProjector,
) -> Loss:  # fmt: skip
    """Makes the loss of the picture stage: that of the video stage, and for a share of the steps of clips with a picture."""
    without = video_loss(run, library, unet, text, motion)

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        if float(torch.rand((), generator=kind)) >= run.picture_share:
            return without(kind, data)
        frames = run.frames[int(torch.randint(len(run.frames), (), generator=kind))]
        drawn = draw_pictures(run, library, run.batch * run.frames[-1] // frames, frames, data)
        tokens = projector.projector(states_of(vision, drawn.pixels.to(unet.device), LOOK))
        rows = repeat(torch.arange(len(tokens)), "b -> (b f)", f=frames)
        with picture_in(unet, projector.image, tokens, rows):
            value = denoising_error(unet, text, motion, drawn.batch, run.level_weights)
        return value, {"picture": float(value.detach())}

    return loss


def draw_pictures(run: PictureRun, library: Library, clips: int, frames: int, generator: torch.Generator) -> Shown:
    """Draws clips with a picture each: their first frame where it is clean, else any of their frames."""

    def chance(share: float) -> bool:
        return float(torch.rand((), generator=generator)) < share

    parts, prompts, times, given, pixels = [], [], [], [], []
    kinds = pick(run.levels, clips, generator)
    contents = pick(run.said, clips, generator)
    for kind, content in zip(kinds, contents, strict=True):
        index = int(torch.randint(len(library.scenes), (), generator=generator))
        fps, scene = pick_rate(generator), library.scenes[index]
        stride, clean_first = FPS // fps, kind in ("first", "ends")
        rest = clean_first and chance(run.rest)
        first = 0 if rest else int(torch.randint(LENGTH - stride * (frames - 1), (), generator=generator))
        parts.append(library.from_rest(index, frames, fps) if rest else library.latents[index, first::stride][:frames].float())
        number = first if clean_first else first + stride * int(torch.randint(frames, (), generator=generator))
        picture = pixels_of(film(scene, 1, run.size, FPS, number, rest), run.size, False)
        pixels.append(picture * (not chance(run.dropped_pictures)))
        whole = caption_of(scene, fps, run.loose_prompts, generator)
        motion = f"{write_caption({'motion': scene.motion})} at {fps} fps"
        prompts.append({"all": whole, "motion": motion, "nothing": ""}[content])
        level, clean = draw_levels(kind, frames, run.level_bias, generator)
        times.append(level)
        given.append(clean)
    clean = rearrange(torch.stack(parts), "b f c h w -> (b f) c h w")
    noise = torch.randn(clean.shape, generator=generator)
    straight = draw_paths(run.straight, clips, frames, generator)
    return Shown(Batch(clean, noise, torch.cat(times), torch.cat(given), prompts, frames, straight), torch.cat(pixels))
