"""VAEs of every kind in the host, small, with drawn weights."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(build: Callable[[], nn.Module]) -> dict[str, Tensor]:
    """Weights of a small network, published as its family publishes them, frames changing each other for sure."""
    torch.manual_seed(0)
    return {key: value + 0.05 * torch.randn_like(value) for key, value in build().state_dict().items()}


def published(kind: str) -> dict[str, Tensor]:
    from zoetrope.models.vae.causal import CausalVae
    from zoetrope.models.vae.families import cv_vae, lvdm, open_sora, sd, svd
    from zoetrope.models.vae.kl import ConvOverTime, KLVae, Layout
    from zoetrope.models.vae.open_sora import OpenSoraVae
    from zoetrope.models.vae.replicate import ReplicateVae

    layout = Layout((32, 32), 1, 4, quant=True, post_quant=True)
    builds = {
        "sd": (lambda: KLVae(layout), sd.ldm),
        "svd": (lambda: KLVae(layout, half=svd.half, last=ConvOverTime), svd.ldm),
        "cv_vae": (lambda: CausalVae((32, 32, 32), 1, 4), cv_vae.table),
        "lvdm": (lambda: ReplicateVae(16, 2, 4), lvdm.table),
        "open_sora": (lambda: OpenSoraVae(layout, (32, 32, 32, 32), 1, 4), None),
    }
    build, table = builds[kind]
    weights = seeded(build)
    return (table({}, "") if table else open_sora.table(seeded_keys(), "")).restore(weights)


def seeded_keys() -> dict[str, tuple[int, ...]]:
    """What Open-Sora's table reads its levels off."""
    return {f"spatial_vae.module.encoder.down_blocks.{n}.resnets.0.conv1.weight": (32, 32, 3, 3) for n in (0, 1)}


def host_vae(kind: str) -> Any:
    from zoetrope.hosts.comfyui.vae.from_file import FileVae
    from zoetrope.models.vae.loading import vae_from

    return FileVae(vae_from(published(kind)))


def chunked_vae(vae: Any, *way: Any, **more: Any) -> Any:
    from zoetrope.hosts.comfyui.vae.chunked import ChunkedVae, ChunkOptions

    return ChunkedVae(vae, ChunkOptions(*way, **more))


def decoded(vae: Any, latents: Tensor, *way: Any, **more: Any) -> Tensor:
    from zoetrope.hosts.comfyui.vae.video import decode_all

    return decode_all(latents, chunked_vae(vae, *way, **more))


def encoded(vae: Any, pictures: Tensor, *way: Any, **more: Any) -> Tensor:
    from zoetrope.hosts.comfyui.vae.video import clip_of, encode_all

    clip = clip_of(pictures)
    return encode_all(clip.frames, clip.count, chunked_vae(vae, *way, **more))
