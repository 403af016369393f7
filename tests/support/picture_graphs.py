"""Graphs with pictures, as the editor would queue them."""

from typing import Any

import hosting
import torch
from real_server import Server, error_of
from safetensors.torch import load_file

HOSTS: dict[str, Any] = {"params": hosting.found_hosts(), "ids": lambda host: hosting.version(host)}


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def sampled(model: list[Any], clip: list[Any], text: str, **more: Any) -> dict[str, Any]:
    """From a model to a saved latent; `more` are settings of the sampler."""
    settings = {"steps": 2, "cfg": 3.0, "seed": 1, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0, **more}
    return {
        "text": node("CLIPTextEncode", text=text, clip=clip),
        "none": node("CLIPTextEncode", text="", clip=clip),
        "sampler": node(
            "KSampler", model=model, positive=["text", 0], negative=["none", 0], latent_image=["latent", 0], **settings
        ),
        "save": node("SaveLatent", samples=["sampler", 0], filename_prefix="latent"),
    }


def drawing(size: int = 64) -> dict[str, Any]:
    """A red square on black, by core nodes."""
    return {
        "ground": node("EmptyImage", width=size, height=size, batch_size=1, color=657930),
        "shape": node("EmptyImage", width=size // 3, height=size // 3, batch_size=1, color=15411497),
        "picture": node("ImageCompositeMasked", destination=["ground", 0], source=["shape", 0], x=8, y=22, resize_source=False),
    }


def run(server: Server, queued: dict[str, Any]) -> torch.Tensor:
    entry = server.run(queued)
    assert error_of(entry) == ""
    newest = max((server.folder / "output").glob("latent_*.latent"), key=lambda path: path.stat().st_mtime_ns)
    latents = load_file(newest)["latent_tensor"]
    newest.unlink()
    return latents


def shown(model: list[Any], projector: list[Any], eye: str, strength: float = 1.0) -> dict[str, Any]:
    return {
        "eye": node("CLIPVisionLoader", clip_name=f"{eye}.ckpt"),
        "words": node(
            "ZoetropeImagePrompt",
            model=model,
            projector=projector,
            clip_vision=["eye", 0],
            image=["picture", 0],
            strength=strength,
        ),
    }
