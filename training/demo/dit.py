"""A tiny video transformer of the demo world: Wan's class, the embedded VAE's latents, flow matching with a level per frame.

Trained in diffusers' class and exported with the keys of ComfyUI's (`WAN`), which is the same network. A latent is a frame, so
clips have no compressed time. x = (1 - t) clean + t noise, and the target is noise - clean (arXiv 2210.02747).
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from einops import rearrange
from PIL.Image import Image
from torch import Tensor

from ...demo.layout import FRAMES, WIDTH
from ...demo.text import TextEncoder
from ...sampling.diffusion import SD_SIGMAS, rows
from ...video.quality.sheet import contact_sheet
from ..loop import Loss, Show
from .config import DitRun
from .denoising import draw_clips, level_weight, pick
from .levels import draw_levels
from .library import Library
from .samples import PROMPTS

LATENT = 4
"""Channels of the embedded VAE's latents."""
FREQUENCIES = 64
"""Width of the sinusoidal embedding of timesteps."""
STEPS = 20
"""Sampling steps of the sample sheets."""
WAN = (
    (r"condition_embedder\.text_embedder\.linear_1", "text_embedding.0"),
    (r"condition_embedder\.text_embedder\.linear_2", "text_embedding.2"),
    (r"condition_embedder\.time_embedder\.linear_1", "time_embedding.0"),
    (r"condition_embedder\.time_embedder\.linear_2", "time_embedding.2"),
    (r"condition_embedder\.time_proj", "time_projection.1"),
    (r"\.attn1\.", ".self_attn."),
    (r"\.attn2\.", ".cross_attn."),
    (r"\.to_([qkv])\.", r".\1."),
    (r"\.to_out\.0\.", ".o."),
    (r"\.norm2\.", ".norm3."),
    (r"\.ffn\.net\.0\.proj\.", ".ffn.0."),
    (r"\.ffn\.net\.2\.", ".ffn.2."),
    (r"^(blocks\.\d+)\.scale_shift_table$", r"\1.modulation"),
    (r"^scale_shift_table$", "head.modulation"),
    (r"^proj_out\.", "head.head."),
)
"""Parts of diffusers' key names -> those of Wan's published files, as regular expressions, in order."""


def new_dit(run: DitRun) -> Any:
    """diffusers' Wan transformer for latents of the embedded VAE; 2.1 M parameters with a width of 128 and 8 layers."""
    from diffusers.models.transformers.transformer_wan import WanTransformer3DModel

    return WanTransformer3DModel(
        patch_size=(1, 1, 1), num_attention_heads=run.heads, attention_head_dim=run.width // run.heads, in_channels=LATENT,
        out_channels=LATENT, text_dim=WIDTH, freq_dim=FREQUENCIES, ffn_dim=3 * run.width, num_layers=run.layers,
    )  # fmt: skip


def wan_weights(network: Any) -> dict[str, Tensor]:
    """Weights of a network of `new_dit` with the keys of Wan's published files."""
    named = {}
    for key, value in network.state_dict().items():
        for pattern, name in WAN:
            key = re.sub(pattern, name, key)
        named[key] = value
    return named


def predict(network: Any, clips: Tensor, levels: Tensor, context: Tensor) -> Tensor:
    """noise - clean of clips `(b, f, c, h, w)` at levels `(b, f)` in [0, 1]; context: text tokens `(b, n, d)`."""
    tokens = clips.shape[-2] * clips.shape[-1]
    times = (1000 * levels).repeat_interleave(tokens, 1)
    made = network(rearrange(clips, "b f c h w -> b c f h w"), times, context, return_dict=False)[0]
    return rearrange(made, "b c f h w -> b f c h w")


def dit_loss(run: DitRun, library: Library, network: Any, text: TextEncoder) -> Loss:
    """Makes the loss of the stage: the mean squared error over frames that are not given clean, weighted by level."""

    def loss(kind: torch.Generator, data: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        frames = run.frames[int(torch.randint(len(run.frames), (), generator=kind))]
        clips = run.batch * run.frames[-1] // frames
        clean, prompts = draw_clips(run, library, clips, frames, data)
        drawn = (draw_levels(name, frames, run.level_bias, data) for name in pick(run.levels, clips, data))
        times, given = (torch.cat(part).to(network.device) for part in zip(*drawn, strict=True))
        noise = torch.randn(clean.shape, generator=data).to(network.device)
        clean, levels = clean.to(network.device), (times + 1) / len(SD_SIGMAS) * ~given
        noisy = rows(1 - levels, clean) * clean + rows(levels, clean) * noise
        context = text(text.tokenize(prompts).to(network.device))
        by_clip = rearrange(noisy, "(b f) c h w -> b f c h w", f=frames), rearrange(levels, "(b f) -> b f", f=frames)
        made = rearrange(predict(network, *by_clip, context), "b f c h w -> (b f) c h w")
        error = (made.float() - (noise - clean)).square().mean((1, 2, 3)) * level_weight(times, run.level_weights)
        value = error[~given].mean()
        return value, {"clip": float(value.detach())}

    return loss


def show_dit(vae: Any) -> Show:
    """Sheet of clips by Euler's method without guidance, one row per prompt."""

    @torch.inference_mode()
    def show(modules: Mapping[str, Any]) -> Image:
        network, text = modules["dit"], modules["text"]
        side = vae.config.sample_size // 8 if getattr(vae.config, "sample_size", 0) else 8
        context = text(text.tokenize([f"{prompt} at 8 fps" for prompt in PROMPTS]).to(network.device))
        x = torch.randn(len(PROMPTS), FRAMES, LATENT, side, side, generator=torch.Generator().manual_seed(1)).to(network.device)
        levels = torch.linspace(1, 0, STEPS + 1)
        for now, after in zip(levels[:-1], levels[1:], strict=True):
            x = x + (after - now) * predict(network, x, now.expand(x.shape[:2]).to(x), context)
        latents = rearrange(x, "b f c h w -> (b f) c h w") / vae.config.scaling_factor
        pictures = (vae.decode(latents.to(vae.device)).sample / 2 + 0.5).clamp(0, 1).cpu()
        return contact_sheet(list(rearrange(pictures, "(b f) c h w -> b f c h w", f=FRAMES)), scale=1)

    return show
