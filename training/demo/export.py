"""Export of training states to `demo/`: averaged weights in half precision, a safetensors file per part, published keys."""

import json
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor

from ...demo.layout import (
    FRAMES,
    PIXELS,
    PROJECTOR,
    PROJECTOR_HEAD,
    TEMPORAL_VAE,
    UPSCALER,
    UPSCALER_MOTION,
    UPSCALER_TIMES,
    UPSCALER_VAE,
    UPSCALER_WINDOW,
    VISION,
    VISION_LAYOUT,
    read_part,
    text_header,
)
from ...hosts.diffusers.demo.model import filled
from ...hosts.diffusers.demo.superres import new_upscaler_vae
from ...models.backbones.unet import SD1
from ...models.image_prompt.families import ip_adapter
from ...models.vae.families import svd
from ..loop import STATE, averaged_weights
from .networks import new_text, new_vae
from .worlds import PLAIN, World

PICTURES = 256


def calibrated_vae(folder: Path) -> Any:
    """The trained VAE in eval mode, with latents of zero mean and unit variance after SD's scaling factor.

    The shift and scale of each channel are folded into `quant_conv` and `post_quant_conv`, so that hosts do not need them.
    For a folder with an exported `vae.safetensors` in place of a training state it is that VAE.
    """
    if not (folder / STATE).is_file() and (folder / "vae.safetensors").is_file():
        return filled("vae", new_vae(), folder)
    return calibrated(new_vae(), averaged_weights(folder)["vae"], PIXELS)


def calibrated(vae: Any, weights: dict[str, Tensor], side: int, world: World = PLAIN) -> Any:
    """Calibrates a VAE. side: of the pictures for its latent statistics."""
    vae.load_state_dict(weights)
    vae.requires_grad_(False).eval()
    shift, scale = latent_statistics(vae, side, world)
    scale = scale * vae.config.scaling_factor  # the factor that brings a channel to 1 / scaling_factor
    means, biases = vae.quant_conv.weight[:4], vae.quant_conv.bias
    means /= scale[:, None, None, None]
    biases[:4] = (biases[:4] - shift) / scale
    biases[4:] -= 2 * scale.log()  # log variance
    inverse = vae.post_quant_conv
    inverse.bias += (inverse.weight[:, :, 0, 0] * shift).sum(1)
    inverse.weight *= scale[None, :, None, None]
    return vae


@torch.no_grad()
def latent_statistics(vae: Any, side: int = PIXELS, world: World = PLAIN) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each latent channel over pictures of the world, `(c,)` each."""
    generator = torch.Generator().manual_seed(99)
    count = PICTURES * PIXELS // side
    pictures = torch.cat([world.film(world.draw(generator), 1, side) for _ in range(count)])
    latents = torch.cat([vae.encode(part * 2 - 1).latent_dist.mean for part in pictures.split(32 * PIXELS // side)])
    flat = rearrange(latents, "b c h w -> c (b h w)")
    return flat.mean(1), flat.std(1)


def weights_to_start_from(folder: Path) -> dict[str, dict[str, Tensor]]:
    """Averaged weights of a stage's output folder, or those of an exported model (`demo/weights`): module -> key -> tensor."""
    if (folder / STATE).is_file() or not (folder / "unet.safetensors").is_file():
        return averaged_weights(folder)
    names = [name for name in ("unet", "text", "motion", VISION, PROJECTOR) if (folder / f"{name}.safetensors").is_file()]
    weights = {name: {key: value.float() for key, value in read_part(name, folder)[0].items()} for name in names}
    if PROJECTOR in weights:
        ours, _ = ip_adapter.table_for(SD1).rename(weights.pop(PROJECTOR))
        weights["projector"] = {key.replace(":", ".", 1): value for key, value in ours.items()}
    return weights


def upscaler_vae(folder: Path) -> Any:
    """As `calibrated_vae`, for the upscaler's VAE."""
    return calibrated(new_upscaler_vae(), averaged_weights(folder)["vae"], UPSCALER_TIMES * PIXELS)


def write_upscaler(folder: Path, vae: Path, still: Path, video: Path) -> None:
    """Writes the upscaler's UNet, VAE and temporal layers as `write_demo` does."""
    write_parts(folder, {
        UPSCALER_VAE: (upscaler_vae(vae).state_dict(), {}),
        UPSCALER: (averaged_weights(still)["unet"], {}),
        UPSCALER_MOTION: (averaged_weights(video)["motion"], {"zoetrope.frames": str(UPSCALER_WINDOW)}),
    })  # fmt: skip


def write_demo(folder: Path, vae: Path, denoiser: Path, decoder: Path | None = None) -> None:
    """Writes vae, unet, text and motion.safetensors in float16, each atomically; image encoder, projector and temporal decoder
    if they were trained."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = averaged_weights(denoiser)
    parts: dict[str, tuple[dict[str, Tensor], dict[str, str]]] = {
        "vae": (calibrated_vae(vae).state_dict(), {}),
        "unet": (weights["unet"], {}),
        "text": (weights["text"], text_header(new_text().config)),
        "motion": (weights["motion"], {"zoetrope.frames": str(FRAMES)}),
    }
    if "projector" in weights:
        table = ip_adapter.table_for(SD1)
        ours = {key.replace(".", ":", 1): value for key, value in weights["projector"].items()}
        parts[PROJECTOR] = (table.restore(ours), {"zoetrope.head_width": str(PROJECTOR_HEAD)})
        parts[VISION] = (weights["vision"], {})
        (folder / f"{VISION}.json").write_text(json.dumps(VISION_LAYOUT, indent=1) + "\n")
    if decoder:
        parts[TEMPORAL_VAE] = (svd.ldm({}, "").restore(averaged_weights(decoder)["decoder"]), {})
    write_parts(folder, parts)


def write_parts(folder: Path, parts: dict[str, tuple[dict[str, Tensor], dict[str, str]]]) -> None:
    """Writes a file per part: tensors in half precision, and the header."""
    for name, (tensors, metadata) in parts.items():
        half = {key: value.half().contiguous() for key, value in tensors.items()}
        new = folder / f"{name}.new"
        save_file(half, new, {"format": "pt", **metadata})
        new.chmod(0o644)  # safetensors makes files that only their owner may read
        new.replace(folder / f"{name}.safetensors")
