"""Library of encoded shots for the image and video stages, so that steps do not run the VAE.

Each shot is one scene of the world at 16 fps, long enough for a 16-frame clip at 4 fps, as scaled latents in half precision.
Clips at any rate are windows of it: a stride and a first frame.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...demo.world import RATES
from .worlds import PLAIN, World

FPS = 16
LENGTH = 61
STARTS = 3
"""Number of first frames whose trail depends on whether the shot starts from rest."""
SAVE_EVERY = 200
TRAINING_SEED = 7_000_000
"""First seed of scenes in training; the evaluation set has scenes from a file, and lower noise seeds."""


@dataclass(frozen=True)
class Library:
    """Encoded shots with their scenes."""

    scenes: tuple[Any, ...]
    """Scenes of `world`."""
    latents: Tensor
    """(n, LENGTH, 4, h, w), float16, scaled to unit variance."""
    starts: Tensor | None = None
    """First frames of the same shots when they start from rest, (n, STARTS, 4, h, w); later frames are equal."""
    world: World = PLAIN

    def clip(self, index: int, frames: int, fps: int, generator: torch.Generator) -> Tensor:
        """Draws a clip of shot `index`, `(frames, 4, h, w)` float32."""
        stride = FPS // fps
        first = int(torch.randint(LENGTH - stride * (frames - 1), (), generator=generator))
        return self.latents[index, first : first + stride * (frames - 1) + 1 : stride].float()

    def from_rest(self, index: int, frames: int, fps: int) -> Tensor:
        """Beginning of shot `index` when it starts from rest, `(frames, 4, h, w)` float32."""
        assert self.starts is not None, "the library was built without starts"
        whole = torch.cat([self.starts[index].float(), self.latents[index, STARTS:].float()])
        stride = FPS // fps
        return whole[: stride * (frames - 1) + 1 : stride]


def scene_of(index: int, world: World = PLAIN) -> Any:
    """The scene of a shot."""
    return world.draw(torch.Generator().manual_seed(TRAINING_SEED + index))


def pick_rate(generator: torch.Generator) -> int:
    """Draws a frame rate: 8 fps with probability 1/2, the others 1/4 each."""
    rates = (RATES[1], *RATES)
    return rates[int(torch.randint(len(rates), (), generator=generator))]


@torch.no_grad()
def encode_shot(vae: Any, scene: Any, size: int, world: World = PLAIN) -> Tensor:
    """Encodes a shot, `(LENGTH, 4, h, w)` float16; of a still scene one frame."""
    frames = world.film(scene, LENGTH if world.moves(scene) else 1, size, FPS, device=vae.device)
    return _encoded(vae, frames).expand(LENGTH, -1, -1, -1)


def _encoded(vae: Any, frames: Tensor) -> Tensor:
    """Scaled latents of frames in [0, 1], float16 on the CPU."""
    mean = vae.encode((frames * 2 - 1).to(vae.device, vae.dtype)).latent_dist.mean
    return (mean * vae.config.scaling_factor).half().cpu()


def fingerprint(network: Any) -> str:
    """Digest of all weights, because latents are valid for their VAE only."""
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def build_library(path: Path, vae: Any, maker: str, shots: int, size: int, note: Any = print, world: World = PLAIN) -> Library:
    """Encodes shots 0 .. shots - 1 into `path`; continues an existing file of the same VAE.

    maker   fingerprint of the VAE
    """
    latents = torch.empty(0, LENGTH, 4, size // 8, size // 8).half()
    if path.is_file():
        stored = torch.load(path, weights_only=True)
        if stored["maker"] == maker and stored["latents"].shape[2:] == latents.shape[2:]:
            latents = stored["latents"]
        else:
            note(f"{path}: made by another VAE; encoding again")
    while len(latents) < shots:
        until = min(shots, len(latents) + SAVE_EVERY)
        scenes = [scene_of(index, world) for index in range(len(latents), until)]
        latents = torch.cat([latents, *(encode_shot(vae, scene, size, world)[None] for scene in scenes)])
        torch.save({"maker": maker, "latents": latents}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        note(f"encoded {until} of {shots} shots")
    return Library(tuple(scene_of(index, world) for index in range(shots)), latents[:shots], world=world)


@torch.no_grad()
def build_starts(path: Path, vae: Any, maker: str, shots: int, size: int) -> Tensor:
    """Encodes first frames of shots that start from rest, `(shots, STARTS, 4, h, w)` float16; stored in `path`."""
    if path.is_file():
        stored = torch.load(path, weights_only=True)
        if stored["maker"] == maker and len(stored["starts"]) >= shots:
            return stored["starts"][:shots]
    starts = torch.stack([_encoded(vae, PLAIN.film(scene_of(i), STARTS, size, FPS, rest=True)) for i in range(shots)])
    torch.save({"maker": maker, "starts": starts}, path)
    return starts
