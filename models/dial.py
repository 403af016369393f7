"""A number that artists turn: one for the whole clip, one per frame, or one per frame and place (a mask)."""

import math

import torch
from einops import rearrange, repeat
from torch import Tensor
from torch.nn import functional as F

Dial = float | Tensor
"""A number, or `(f or 1, h or 1, w or 1)`."""


def check_dial(name: str, dial: Dial) -> None:
    """Raises ValueError, naming the dial, for numbers that are not finite and tensors of another shape."""
    if isinstance(dial, Tensor):
        if dial.ndim != 3:
            raise ValueError(f"{name}: expected one value per frame, height and width, got shape {list(dial.shape)}")
        if not bool(torch.isfinite(dial).all()):
            raise ValueError(f"{name}: expected finite numbers, got infinite or undefined ones")
    elif not math.isfinite(dial):
        raise ValueError(f"{name}: expected a finite number (0 is the image model, 1 the full motion), got {dial}")


def is_zero(dial: Dial) -> bool:
    return not bool(dial.any()) if isinstance(dial, Tensor) else dial == 0


def over_pictures(dial: Dial, x: Tensor, frames: int) -> Dial:
    """For x `(b f) c h w`: the number, or `(b f) 1 h w`."""
    if not isinstance(dial, Tensor):
        return dial
    return repeat(_fit(dial, frames, x.shape[-2], x.shape[-1], x), "f h w -> (b f) 1 h w", b=x.shape[0] // frames)


def over_tokens(dial: Dial, x: Tensor, frames: int, size: tuple[int, int]) -> Dial:
    """For x `(b f) (h w) d`: the number, or `(b f) (h w) 1`. size: height and width of the latent."""
    if not isinstance(dial, Tensor):
        return dial
    fitted = _fit(dial, frames, *picture_of(x.shape[1], size), x)
    return repeat(fitted, "f h w -> (b f) (h w) 1", b=x.shape[0] // frames)


def over_rows(dial: Dial, x: Tensor, frames: int) -> Dial:
    """For x `(b f) e`, which has no place: the number, or the mean of each frame `(b f) 1`."""
    if not isinstance(dial, Tensor):
        return dial
    return repeat(_fit(dial, frames, 1, 1, x), "f 1 1 -> (b f) 1", b=x.shape[0] // frames)


def over_pixels(dial: Dial, x: Tensor, frames: int) -> Dial:
    """For x `(b f) c h w` whose pixels become sequences: the number, or `f (h w)`."""
    return rearrange(_fit(dial, frames, x.shape[-2], x.shape[-1], x), "f h w -> f (h w)") if isinstance(dial, Tensor) else dial


def picture_of(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the level that has so many pixels; every downsampler halves, rounding up."""
    h, w = size
    while h * w > tokens:
        h, w = math.ceil(h / 2), math.ceil(w / 2)
    if h * w != tokens:
        raise ValueError(f"expected a level of the {size[0]}x{size[1]} latent, got {tokens} pixels")
    return h, w


def _fit(dial: Tensor, frames: int, h: int, w: int, like: Tensor) -> Tensor:
    """`f h w` on the device and in the dtype of `like`. Another number of values than frames is spread evenly over the clip."""
    dial = dial.to(like.device, torch.float32)
    if dial.shape[0] not in (1, frames):
        lines = rearrange(dial, "f h w -> 1 (h w) f")
        spread = F.interpolate(lines, frames, mode="linear", align_corners=True)
        dial = rearrange(spread, "1 (h w) f -> f h w", h=dial.shape[1])
    if dial.shape[1:] not in ((1, 1), (h, w)):
        dial = F.interpolate(dial[None], (h, w), mode="area" if h < dial.shape[1] else "bilinear")[0]
    return dial.expand(frames, h, w).to(like.dtype)
