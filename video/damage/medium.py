"""Damage that is everywhere in a frame: weave, blur, grain, fading, flicker, bleeding colours, compression."""

import io

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from .chance import drawn
from .kernels import gaussian_line

GRAIN_SIZE, FIELD, LOCAL = 0.6, (3, 4), 0.43
"""Grain's size in pixels; blocks of local flicker, and its share of the global one."""
SLOW, WAVE = 0.6, 40.0
"""Amplitude of the slow part of the weave, and its period in frames."""


def offset_at(seed: int, frame: int, amount: float, kind: str) -> tuple[float, float]:
    """Position of one frame (right, down) in pixels: white noise and a slow sine. `kind`: camera or projector."""
    phases = drawn(seed, f"weave {kind}").uniform(0, 2 * np.pi, 2)
    slow = SLOW * np.sin(2 * np.pi * frame / WAVE + phases)
    right, down = amount * (drawn(seed, f"weave {kind}", frame).normal(0, 1, 2) + slow)
    return float(right), float(down)


def shifted(picture: Tensor, right: float, down: float) -> Tensor:
    """A picture `(c, h, w)` moved by a fraction of pixels (bicubic), with reflected edges."""
    if not right and not down:
        return picture
    height, width = picture.shape[1:]
    x, y = torch.arange(width) - right, torch.arange(height) - down
    line_x, line_y = (2 * x + 1) / width - 1, (2 * y + 1) / height - 1
    grid = torch.stack(torch.meshgrid(line_y, line_x, indexing="ij")[::-1], -1)[None]
    return F.grid_sample(picture[None], grid, mode="bicubic", padding_mode="reflection", align_corners=False)[0].clamp(0, 1)


def blurred(picture: Tensor, sigma: float) -> Tensor:
    """Gaussian blur; edges are reflected."""
    return _along(_along(picture, sigma, 2), sigma, 1) if sigma else picture


def bled(picture: Tensor, sigma: float) -> Tensor:
    """Blurs the colours along rows and shifts them to the right, with unchanged brightness."""
    if not sigma:
        return picture
    grey = picture.mean(0, keepdim=True)
    colour = shifted((picture - grey) * 0.5 + 0.5, sigma / 2, 0) * 2 - 1
    return (grey + _along(colour, sigma, 2)).clamp(0, 1)


def _along(picture: Tensor, sigma: float, dim: int) -> Tensor:
    radius = min(max(1, round(3 * sigma)), picture.shape[dim] - 1)
    line = gaussian_line(2 * radius + 1, sigma)
    shape, pad = ((1, 1, 1, -1), (radius, radius, 0, 0)) if dim == 2 else ((1, 1, -1, 1), (0, 0, radius, radius))
    flat = F.pad(rearrange(picture, "c h w -> c 1 h w"), pad, mode="reflect")
    return rearrange(F.conv2d(flat, line.reshape(shape)), "c 1 h w -> c h w")


def grained(picture: Tensor, seed: int, frame: int, amount: float) -> Tensor:
    """Grain, the same in all channels, strongest in middle grey and none in black and white."""
    if not amount:
        return picture
    size, scale = tuple(picture.shape[1:]), max(1.0, picture.shape[2] / 1024)
    noise = torch.from_numpy(drawn(seed, "grain", frame).standard_normal(size, np.float32))[None]
    grain = blurred(noise, GRAIN_SIZE * scale)
    grey = picture.mean(0, keepdim=True).clamp(0, 1)
    return (picture + amount * 2 * (grey * (1 - grey)).sqrt() * grain / grain.std().clamp_min(1e-6)).clamp(0, 1)


def faded(picture: Tensor, amount: float) -> Tensor:
    """Less contrast, lifted black, a yellow cast and a vignette."""
    if not amount:
        return picture
    height, width = picture.shape[1:]
    gamma = 1 + amount * torch.tensor([-0.2, 0.0, 0.3])[:, None, None]
    down, right = torch.linspace(-1, 1, height)[:, None], torch.linspace(-1, 1, width)[None]
    vignette = 1 - 0.25 * amount * (down**2 + right**2)
    return ((picture**gamma * (1 - 0.5 * amount) + 0.12 * amount) * vignette).clamp(0, 1)


def flickered(picture: Tensor, seed: int, frame: int, amount: float) -> Tensor:
    """Another exposure: gain, offset, and a smooth field of gains, each drawn anew for every frame."""
    if not amount:
        return picture
    random = drawn(seed, "flicker", frame)
    gain, offset = 1 + amount * random.normal(), 0.3 * amount * random.normal()
    small = torch.from_numpy(random.normal(0, LOCAL * amount, FIELD).astype(np.float32))
    field = F.interpolate(small[None, None], picture.shape[1:], mode="bicubic", align_corners=False)[0]
    return (picture * (gain + field) + offset).clamp(0, 1)


def compressed(picture: Tensor, amount: float) -> Tensor:
    """JPEG, frame by frame. amount: 0 none, 1 the worst quality."""
    return jpeg(picture, round(95 - 87 * amount)) if amount else picture


def jpeg(picture: Tensor, quality: int) -> Tensor:
    """A picture `(3, h, w)` after JPEG."""
    pixels = (rearrange(picture, "c h w -> h w c").clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=quality)
    decoded = np.array(Image.open(file).convert("RGB"))
    return rearrange(torch.from_numpy(decoded).float() / 255, "h w c -> c h w")
