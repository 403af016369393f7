"""Video jobs with the embedded models."""

from typing import Any

import torch
from torch import Tensor


def said(parts: Any, text: str) -> Any:
    return parts.clip.encode_from_tokens_scheduled(parts.clip.tokenize(text))


def world(frames: int, fps: float = 4, seed: int = 3, size: int = 64, **fixed: Any) -> Tensor:
    from zoetrope.demo.world import draw, film

    return film(draw(torch.Generator().manual_seed(seed), **{"motion": "moving right", **fixed}), frames, size, fps)


def fillers(demo: Any, prompt: str = "moving right at 16 fps", chunked_vae: Any = None) -> Any:
    from zoetrope.hosts.comfyui.jobs.interpolate import InterpolationInputs
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae

    parts, model = demo
    words = said(parts, prompt)
    return InterpolationInputs(model, words, words, parts.motion, chunked_vae or ChunkedVae(parts.vae))


def enlargers(large: Any, model: Any = None, vae: Any = None, tile: int = 0) -> Any:
    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleInputs
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions

    parts, with_motion = large
    words = said(parts, "")
    return UpscaleInputs(model or with_motion, words, words, ChunkedVae(vae or parts.vae, ChunkOptions(tile=4 * tile)))


def enlarged(large: Any, small: Tensor, model: Any = None, vae: Any = None, **more: Any) -> Tensor:
    from zoetrope.hosts.comfyui.jobs.upscale import UpscaleRequest, upscale

    settings = {"steps": 3, "cfg": 1.0, "seed": 5, **more}
    inputs = enlargers(large, model, vae, settings.get("tile", 0))
    return torch.stack(list(upscale(inputs, iter(small), UpscaleRequest(**settings))))
