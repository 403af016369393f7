"""Strengths: a number for the whole clip, one per frame, or one per frame and position (a mask)."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor
from torch.nn import functional as F

Strength = float | Tensor
"""A number, or `(f or 1, h or 1, w or 1)`."""


class ByFrame(Tensor):
    """Values `(f, h or 1, w or 1)` by absolute frame; the last one applies to all later frames. Arithmetic keeps the class."""

    @classmethod
    def of(cls, values: Iterable[float]) -> "ByFrame":
        """From one value per frame, beginning with frame 0."""
        return torch.tensor(list(values), dtype=torch.float32).reshape(-1, 1, 1).as_subclass(cls)

    def __deepcopy__(self, memo: dict[int, Any]) -> "ByFrame":
        """A copy of the same class, which torch does not make by itself. Hosts copy the options of a MODEL that they clone."""
        return self.as_subclass(Tensor).detach().clone().as_subclass(type(self))


def rows_at(rows: Tensor, frames: Iterable[int]) -> Tensor:
    """Rows of these frames as an ordinary tensor; earlier frames (a queue's warm-up) get the first row, later ones the last."""
    return rows[[min(max(frame, 0), len(rows) - 1) for frame in frames]].as_subclass(Tensor)


def check_strength(name: str, strength: Strength) -> None:
    """Raises ValueError with the option's name for numbers that are not finite, and for tensors that are not `(f, h, w)`."""
    if isinstance(strength, Tensor):
        if strength.ndim != 3:
            raise ValueError(f"{name}: expected one value per frame, height and width, got shape {list(strength.shape)}")
        if not bool(torch.isfinite(strength).all()):
            raise ValueError(f"{name}: expected finite numbers, got infinite or NaN ones")
    elif not math.isfinite(strength):
        raise ValueError(f"{name}: expected a finite number (0 is the image model, 1 the full motion), got {strength}")


def is_zero(strength: Strength) -> bool:
    """Whether a strength is 0 everywhere."""
    return not bool(strength.any()) if isinstance(strength, Tensor) else strength == 0


def for_rows(name: str, strength: Strength, rows: int, frames: int, chunks: int, window: list[int] | None = None) -> Strength:
    """Strength for each row of a batch, `(rows, h, w)`; a number is returned as it is.

    strength   tensors have one mask for all frames, one per frame of a part or of a clip, or fewer, which are interpolated
    frames     frames per clip
    chunks     equal parts of the batch (conditional, unconditional), each of one or more clips
    window     absolute frame numbers of a part's rows, where the batch is a window of a longer clip; a tensor with a mask for
               each frame of that clip is cut to them
    Raises ValueError with the option's name for more masks than frames.
    """
    if not isinstance(strength, Tensor):
        return strength
    part, count = rows // chunks, strength.shape[0]
    if isinstance(strength, ByFrame):
        absolute = window if window and len(window) == part else [row % frames for row in range(part)]
        return repeat(rows_at(strength, absolute), "f h w -> (b f) h w", b=chunks)
    if window and count > max(window) and len(window) == part:
        strength, count = strength[window], part
    if count == part:
        return repeat(strength, "f h w -> (b f) h w", b=chunks)
    if count > frames:
        raise ValueError(
            f"{name}: expected 1 value, up to one per frame of a clip ({frames}), or {part} for the batch, got {count}"
        )
    return repeat(spread(strength, frames), "f h w -> (b f) h w", b=rows // frames)


def at_frames(name: str, strength: Strength, numbers: list[int], length: int | None) -> Strength:
    """The number, or the strength of each of these frames `(f, h or 1, w or 1)`.

    numbers   absolute frame numbers
    length    frames of the whole clip, over which fewer values are spread; None: one per frame, the last one for all later ones
    Raises ValueError with the option's name for more values than frames.
    """
    if not isinstance(strength, Tensor) or len(strength) == 1:
        return strength
    if isinstance(strength, ByFrame) or length is None:
        return rows_at(strength, numbers)
    if len(strength) > length:
        raise ValueError(f"{name}: expected 1 value, or up to one per frame of the clip ({length}), got {len(strength)}")
    return rows_at(spread(strength, length), numbers)


def over_pictures(strength: Strength, x: Tensor, frames: int) -> Strength:
    """Strength to multiply x `(b f) c h w` with: the number, or `(b f) 1 h w`."""
    if not isinstance(strength, Tensor):
        return strength
    return rearrange(_fit(strength, x, frames, x.shape[-2], x.shape[-1]), "n h w -> n 1 h w")


def over_tokens(strength: Strength, x: Tensor, frames: int, size: tuple[int, int]) -> Strength:
    """Strength to multiply x `(b f) (h w) d` with: the number, or `(b f) (h w) 1`. size: height and width of the latent."""
    if not isinstance(strength, Tensor):
        return strength
    return rearrange(_fit(strength, x, frames, *picture_of(x.shape[1], size)), "n h w -> n (h w) 1")


def over_rows(strength: Strength, x: Tensor, frames: int) -> Strength:
    """Strength to multiply x `(b f) e` with: the number, or the mean of each frame `(b f) 1`."""
    if not isinstance(strength, Tensor):
        return strength
    return rearrange(_fit(strength.mean((1, 2), keepdim=True), x, frames, 1, 1), "n 1 1 -> n 1")


def over_pixels(strength: Strength, x: Tensor, frames: int) -> Strength:
    """Strength for x `(b f) c h w` whose pixels become sequences: the number, or `b f (h w)`."""
    if not isinstance(strength, Tensor):
        return strength
    return rearrange(_fit(strength, x, frames, x.shape[-2], x.shape[-1]), "(b f) h w -> b f (h w)", f=frames)


def picture_of(tokens: int, size: tuple[int, int]) -> tuple[int, int]:
    """Height and width of the UNet level that has this number of tokens; every downsampler halves, rounding up.

    Raises ValueError where no level has. size: height and width of the latent.
    """
    h, w = size
    while h * w > tokens:
        h, w = math.ceil(h / 2), math.ceil(w / 2)
    if h * w != tokens:
        raise ValueError(f"expected the tokens of a level of the {size[0]}x{size[1]} latent, got {tokens}")
    return h, w


def _fit(strength: Tensor, x: Tensor, frames: int, h: int, w: int) -> Tensor:
    """Strength `(b f) h w` for the rows of x, on its device and in its dtype."""
    strength = resized(strength.to(x.device, torch.float32), h, w)
    if strength.shape[0] != x.shape[0] or isinstance(strength, ByFrame):
        strength = repeat(spread(strength, frames), "f h w -> (b f) h w", b=x.shape[0] // frames)
    return strength.to(x.dtype)


def resized(pictures: Tensor, h: int, w: int) -> Tensor:
    """Pictures `(..., h, w)` at another size: area where smaller, else bilinear."""
    if pictures.shape[-2:] == (h, w):
        return pictures
    if pictures.shape[-2:] == (1, 1):
        return pictures.expand(*pictures.shape[:-2], h, w)
    batch, mode = pictures[None] if pictures.ndim == 3 else pictures, "area" if h < pictures.shape[-2] else "bilinear"
    return F.interpolate(batch, (h, w), mode=mode).reshape(*pictures.shape[:-2], h, w)


def spread(strength: Tensor, frames: int) -> Tensor:
    """Strength `(frames, h, w)` from `(1 or n, h, w)`; n other than `frames` is interpolated over time."""
    if isinstance(strength, ByFrame):
        return rows_at(strength, range(frames))
    if strength.shape[0] in (1, frames):
        return strength.expand(frames, -1, -1)
    lines = rearrange(strength.float(), "f h w -> 1 (h w) f")
    spread = F.interpolate(lines, frames, mode="linear", align_corners=True)
    return rearrange(spread, "1 (h w) f -> f h w", h=strength.shape[1])


def picture_mask(mask: Tensor) -> Tensor:
    """A mask as `(f, h, w)`, from that or from one picture `(h, w)`."""
    return mask[None] if mask.ndim == 2 else mask


def where(mask: Tensor | None, amount: Strength) -> Strength:
    """`amount` where the mask is white, 1 (as trained) where it is black."""
    return amount if mask is None else 1 + picture_mask(mask).to(torch.float32) * (amount - 1)


def check_levels(levels: Mapping[str, float], sites: Iterable[str], what: str = "this motion module") -> None:
    """Raises ValueError for a level at which none of the sites is. what: what has these sites, for the message."""
    sites = list(sites)
    for name in levels:
        if not any(site == name or site.startswith(f"{name}.") for site in sites):
            some = ", ".join(dict.fromkeys(site.rpartition(".")[0] or site for site in sites))
            raise ValueError(f"levels: {what} has no layer at {name!r}; it has layers at {some}")
