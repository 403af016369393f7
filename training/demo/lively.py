"""Stages of the lively world (demo/lively_world.py): a VAE, an image and a video model for 128 px.

The networks have the embedded model's layout, with the width of the stage's configuration.
"""

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL.Image import Image
from torch import Tensor, nn

from ...demo.layout import FRAMES, load_text, new_motion, part_path, read_part, text_header
from ...demo.lively_world import WORDS
from ...demo.text import TextConfig, TextEncoder
from ...demo.words import RATES
from ...hosts.diffusers.demo.model import FPS, Demo, filled, new_unet, new_vae
from ...hosts.diffusers.motion import unet_places
from ...models.motion.loading import load_motion
from ...video.quality.sheet import contact_sheet
from ..half import half_precision
from ..loop import Loss, Show, averaged_weights, train
from .config import LivelyImageRun, LivelyRun, LivelyVaeRun, LivelyVideoRun
from .denoising import image_loss, video_loss
from .export import calibrated, write_parts
from .library import build_library, fingerprint, scene_of
from .samples import show_vae
from .vae import Pictures, vae_loss
from .worlds import LIVELY

TOKENS = 24
"""Tokens of a prompt; the longest caption has 18."""
PROMPTS = (
    "a red circle moving up left on sky",
    "a yellow square moving right on sea",
    "a cyan triangle standing still on night",
    "a green circle moving down and a magenta square standing still on sky",
    "a blue triangle moving left and a yellow circle moving down right on night",
    "a red square moving up right on white",
)
"""Prompts of the sample sheets."""
FRAMES_PER_SCENE = 8
"""Frames of a scene for the VAE, half a second apart."""
STEPS = 15
"""Sampling steps of the sample sheets."""


class LivelyDemo(Demo):
    """A model of the lively world. Prompts are captions of its grammar; no words are replaced."""

    def canonical_prompt(self, prompt: str, fps: int | None = None, picture: bool = False) -> str:
        return f"{prompt} at {fps or FPS} fps"


@dataclass(frozen=True)
class Stage:
    """What `train` needs for a stage."""

    modules: dict[str, nn.Module]
    loss: Loss
    show: Show

    def train(self, run: LivelyRun, folder: Path, until: int | None = None) -> None:
        train(run, self.modules, self.loss, self.show, folder, until)


def new_stage(run: LivelyRun, vae: Path | None, start: Path | None, device: torch.device, half: bool) -> Stage:
    """Networks, loss and sample sheet of a stage.

    vae     output folder of the VAE stage, for the others; the encoded library is stored there
    start   output folder of the stage whose averaged weights to start from
    half    bfloat16 activations, also of the encoder of the library
    """
    if isinstance(run, LivelyVaeRun):
        network = new_vae(width=run.width).to(device)
        loss = vae_loss(run, network, device, pictures_of(run, film_scenes(run, device)))
        stage = Stage({"vae": network}, loss, show_vae(run.size, LIVELY))
    else:
        assert vae is not None, "this stage needs the output folder of the VAE stage"
        stage = _denoiser(run, vae, device, half)
    if start:
        weights = averaged_weights(start)
        for name in weights.keys() & stage.modules.keys():
            stage.modules[name].load_state_dict(weights[name])
    return Stage(stage.modules, in_half(stage.loss, device), stage.show) if half else stage


def film_scenes(run: LivelyVaeRun, device: torch.device) -> Tensor:
    """Frames of the run's scenes, `(n, 3, size, size)`, as bytes on the device, because filming them takes longer than
    a step."""
    clips = (LIVELY.film(scene_of(n, LIVELY), FRAMES_PER_SCENE, run.size, 2, device=device) for n in range(run.scenes))
    return torch.cat([(clip * 255).round().byte() for clip in clips])


def pictures_of(run: LivelyVaeRun, frames: Tensor) -> Pictures:
    """Draws crops at random places of the torus, or whole pictures with as many pixels in total."""

    def draw(cropped: bool, generator: torch.Generator) -> Tensor:
        count = run.batch if cropped else max(1, run.batch * run.crop**2 // run.size**2)
        picked = frames[torch.randint(len(frames), (count,), generator=generator).to(frames.device)]
        if cropped:
            moves = torch.randint(run.size, (count, 2), generator=generator).tolist()
            rolled = (frame.roll(move, (1, 2)) for frame, move in zip(picked, moves, strict=True))
            picked = torch.stack([frame[:, : run.crop, : run.crop] for frame in rolled])
        return picked.float() / 255

    return draw


def _denoiser(run: LivelyImageRun | LivelyVideoRun, folder: Path, device: torch.device, half: bool) -> Stage:
    vae = lively_vae(folder, run.size).to(device)
    encoder = copy.deepcopy(vae).bfloat16() if half else vae
    library = build_library(folder / "library.pt", encoder, fingerprint(vae), run.shots, run.size, note, LIVELY)
    unet, text, motion = new_unet(width=run.width).to(device), new_text(run.width).to(device), new_motion(run.width).to(device)
    modules: dict[str, nn.Module] = {"unet": unet, "text": text}
    if isinstance(run, LivelyImageRun):
        return Stage(modules, image_loss(run, library, unet, text), show_clips(vae, run.size))
    return Stage(modules | {"motion": motion}, video_loss(run, library, unet, text, motion), show_clips(vae, run.size))


def in_half(loss: Loss, device: torch.device) -> Loss:
    """A loss with bfloat16 activations and float32 weights."""

    def half(kind: torch.Generator, data: torch.Generator) -> tuple[torch.Tensor, dict[str, float]]:
        with half_precision(device.type):
            return loss(kind, data)

    return half


def lively_vae(folder: Path, side: int) -> Any:
    """The trained VAE in eval mode, calibrated on pictures of `side` pixels of the lively world."""
    weights = averaged_weights(folder)["vae"]
    return calibrated(new_vae(width=len(weights["encoder.conv_in.weight"])), weights, side, LIVELY)


def new_text(width: int) -> TextEncoder:
    """Text encoder with the words of the lively world and the frame rates."""
    words = tuple(sorted({*WORDS, *map(str, RATES)}))
    return TextEncoder(TextConfig(words=words, length=TOKENS, width=width, layers=2, heads=width // 32))


def show_clips(vae: Any, size: int, prompts: tuple[str, ...] = PROMPTS, frames: int = FRAMES) -> Callable[..., Image]:
    """Sheet of clips, one row per prompt; without a motion module, frames are independent."""

    def show(modules: Mapping[str, Any]) -> Image:
        demo = LivelyDemo(vae, modules["unet"], modules["text"], modules.get("motion"))
        seeds = list(range(len(prompts)))
        return contact_sheet(list(demo.generate_batch(list(prompts), frames, seeds, steps=STEPS, size=size)))

    return show


def write_lively(folder: Path, vae: Path, video: Path, side: int) -> None:
    """Writes vae, unet, text and motion.safetensors in float16, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = averaged_weights(video)
    width = weights["text"]["embedding.weight"].shape[1]
    write_parts(folder, {
        "vae": (lively_vae(vae, side).state_dict(), {}),
        "unet": (weights["unet"], {}),
        "text": (weights["text"], text_header(new_text(width).config)),
        "motion": (weights["motion"], {"zoetrope.frames": str(FRAMES)}),
    })  # fmt: skip


def load_lively(folder: Path, device: str | torch.device = "cpu") -> LivelyDemo:
    """Loads an exported model in float32. Raises ValueError where a file is missing, corrupt or another model's."""
    vae = new_vae(width=len(read_part("vae", folder)[0]["encoder.conv_in.weight"]))
    unet = new_unet(width=len(read_part("unet", folder)[0]["conv_in.weight"]))
    motion, _ = load_motion(part_path("motion", folder))
    motion.check_fit(unet_places(unet).widths)
    vae, unet = (filled(name, network, folder).to(device) for name, network in (("vae", vae), ("unet", unet)))
    return LivelyDemo(vae, unet, load_text(folder).to(device), motion.float().to(device))


def note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
