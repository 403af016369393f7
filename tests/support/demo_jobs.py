"""Video jobs with the embedded models."""

from typing import Any

import torch
from torch import Tensor


def said(parts: Any, text: str) -> Any:
    return parts.clip.encode_from_tokens_scheduled(parts.clip.tokenize(text))


def world(frames: int, fps: float = 4, seed: int = 3, size: int = 64, **fixed: Any) -> Tensor:
    from zoetrope.demo.world import draw, film

    return film(draw(torch.Generator().manual_seed(seed), **{"motion": "moving right", **fixed}), frames, size, fps)


def enlargers(large: Any, model: Any = None, vae: Any = None, tile: int = 0) -> Any:
    from zoetrope.hosts.comfyui.jobs.upscale import Enlargers
    from zoetrope.hosts.comfyui.vae.chunked import Lens, Way

    parts, with_motion = large
    words = said(parts, "")
    return Enlargers(model or with_motion, words, words, Lens(vae or parts.vae, Way(tile=4 * tile)))


def enlarged(large: Any, small: Tensor, model: Any = None, vae: Any = None, **more: Any) -> Tensor:
    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleOrder, upscale

    settings = {"steps": 3, "cfg": 1.0, "seed": 5, **more}
    crew = enlargers(large, model, vae, settings.get("tile", 0))
    return torch.stack(list(upscale(crew, iter(small), UpscaleOrder(**settings))))
