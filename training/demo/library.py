"""A library of encoded shots: what the image and video stages learn from, so that no step waits for the VAE.

Each shot is one scene of the world at 16 fps, long enough for a 16-frame clip at 4 fps, as scaled latents in half precision.
Clips at any rate are windows of it: a stride and a first frame.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...demo.world import MOTIONS, RATES, Scene, draw, film

FPS = 16
LENGTH = 61
STARTS = 3
"""Frames of a shot whose trail shows whether it started from rest."""
SAVE_EVERY = 200
TRAINING_SEED = 7_000_000
"""Scenes of training are drawn from here on; the evaluation set has its scenes in a file and noise seeds far below."""


@dataclass(frozen=True)
class Library:
    scenes: tuple[Scene, ...]
    latents: Tensor
    """(n, LENGTH, 4, h, w), float16, scaled to unit variance."""
    starts: Tensor | None = None
    """The first frames of the same shots where they start from rest, (n, STARTS, 4, h, w); later ones are as above."""

    def clip(self, index: int, frames: int, fps: int, generator: torch.Generator) -> Tensor:
        """A window of shot `index`, `(frames, 4, h, w)` float32."""
        stride = FPS // fps
        first = int(torch.randint(LENGTH - stride * (frames - 1), (), generator=generator))
        return self.latents[index, first : first + stride * (frames - 1) + 1 : stride].float()

    def from_rest(self, index: int, frames: int, fps: int) -> Tensor:
        """The beginning of shot `index` where it starts from rest, `(frames, 4, h, w)` float32."""
        assert self.starts is not None, "the library was built without starts"
        whole = torch.cat([self.starts[index].float(), self.latents[index, STARTS:].float()])
        stride = FPS // fps
        return whole[: stride * (frames - 1) + 1 : stride]


def scene_of(index: int) -> Scene:
    return draw(torch.Generator().manual_seed(TRAINING_SEED + index))


def pick_rate(generator: torch.Generator) -> int:
    """8 fps half of the time, the others a quarter each."""
    rates = (RATES[1], *RATES)
    return rates[int(torch.randint(len(rates), (), generator=generator))]


@torch.no_grad()
def encode_shot(vae: Any, scene: Scene, size: int) -> Tensor:
    """(LENGTH, 4, h, w) float16. A scene that stands still is encoded once."""
    return _encoded(vae, film(scene, LENGTH if any(MOTIONS[scene.motion]) else 1, size, FPS)).expand(LENGTH, -1, -1, -1)


def _encoded(vae: Any, frames: Tensor) -> Tensor:
    """Scaled latents of frames in [0, 1], float16 on the CPU."""
    mean = vae.encode((frames * 2 - 1).to(vae.device, vae.dtype)).latent_dist.mean
    return (mean * vae.config.scaling_factor).half().cpu()


def fingerprint(network: Any) -> str:
    """Of all weights: latents are of use only to the VAE that made them."""
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()


def build_library(path: Path, vae: Any, maker: str, shots: int, size: int, note: Any = print) -> Library:
    """Encodes shots 0 .. shots - 1 into `path`, going on from what it holds already if the VAE is the same.

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
        latents = torch.cat([latents, *(encode_shot(vae, scene_of(i), size)[None] for i in range(len(latents), until))])
        torch.save({"maker": maker, "latents": latents}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
        note(f"encoded {until} of {shots} shots")
    return Library(tuple(scene_of(index) for index in range(shots)), latents[:shots])


@torch.no_grad()
def build_starts(path: Path, vae: Any, maker: str, shots: int, size: int) -> Tensor:
    """The first frames of every shot as it starts from rest, `(shots, STARTS, 4, h, w)` float16, kept in `path`."""
    if path.is_file():
        stored = torch.load(path, weights_only=True)
        if stored["maker"] == maker and len(stored["starts"]) >= shots:
            return stored["starts"][:shots]
    starts = torch.stack([_encoded(vae, film(scene_of(i), STARTS, size, FPS, rest=True)) for i in range(shots)])
    torch.save({"maker": maker, "starts": starts}, path)
    return starts
