"""Damage, detection and restoration of film for ComfyUI's IMAGE, VIDEO and MASK."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from ....video.damage.film import damaged
from ....video.damage.settings import FilmDamage
from ....video.restore.film import Found, RestoreSettings, detected, restored
from ..api import InputImpl, Types
from ..vae.video import clip_of

OVERLAY = torch.tensor([1.0, 0.0, 0.3])[:, None, None]
"""Colour of damage in previews."""
SILENT_RATE = 24


@dataclass(frozen=True)
class DamagedClip:
    """A damaged clip in memory."""

    images: Tensor
    """IMAGE `(f, h, w, 3)`."""
    mask: Tensor
    """MASK `(f, h, w)`: 1 where dust, blotches or lines are."""
    video: Any
    """VIDEO with the source's sound."""


def damaged_clip(images: Any, damage: FilmDamage, seed: int, first_frame: int, fps: float) -> DamagedClip:
    """Damages an IMAGE or a VIDEO. fps: of the result; 0: the source's, or 24 where it has none."""
    clip = clip_of(images)
    pictures, masks = [], []
    for one in damaged(clip.frames, damage, seed, first_frame):
        pictures.append(one.picture.movedim(0, -1))
        masks.append(one.mask.float())
    batch, mask = torch.stack(pictures), torch.stack(masks)
    rate = Fraction(fps).limit_denominator(100_000) or clip.fps or Fraction(SILENT_RATE)
    parts = Types.VideoComponents(images=batch, frame_rate=rate, audio=clip.audio)
    return DamagedClip(batch, mask, InputImpl.VideoFromComponents(parts))


@dataclass(frozen=True)
class DetectedDamage:
    mask: Tensor
    """MASK `(f, h, w)`."""
    overlay: Tensor
    """IMAGE `(f, h, w, 3)`, with damage in red."""
    report: str


def detected_damage(images: Any, dust: bool, lines: bool, settings: RestoreSettings, grow: int) -> DetectedDamage:
    """Finds the damage of an IMAGE or a VIDEO. grow: pixels by which the masks are grown."""
    masks, pictures, shares = [], [], [0.0, 0.0]
    for one in detected(clip_of(images).frames, dust, lines, settings):
        shares = [total + float(part.float().mean()) for total, part in zip(shares, (one.dust, one.lines), strict=True)]
        mask = torch.nn.functional.max_pool2d(one.mask[None].float(), 2 * grow + 1, 1, grow)[0]
        masks.append(mask)
        pictures.append(one.source.lerp(OVERLAY.expand_as(one.source), 0.85 * mask).movedim(0, -1))
    names = [f"{name} in {share / len(masks):.2%} of the pixels" for name, share in zip(("dust", "lines"), shares, strict=True)]
    chosen = [text for text, on in zip(names, (dust, lines), strict=True) if on]
    return DetectedDamage(torch.stack(masks), torch.stack(pictures), f"{len(masks)} frames: {', '.join(chosen)}")


def restoring(settings: RestoreSettings, mask: Any, found: Found) -> Callable[[Iterable[Tensor]], Iterator[Tensor]]:
    """The function that restores frames, for `Job.run`. mask: MASK or None."""
    masks = None if mask is None else masks_of(mask)

    def make(frames: Iterable[Tensor]) -> Iterator[Tensor]:
        cropped = None if masks is None else (with_even_sides(one) for one in masks)
        return restored((with_even_sides(frame) for frame in frames), settings, cropped, found)

    return make


def masks_of(mask: Tensor) -> Tensor:
    """A MASK `(f, h, w)` or `(h, w)` as `(f, h, w)`, float32. Raises ValueError for other shapes."""
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim != 3 or not mask.numel():
        raise ValueError(f"mask: expected a MASK (frames, height, width), got {tuple(mask.shape)}")
    return mask.float().cpu()


def with_even_sides(frame: Tensor) -> Tensor:
    """A frame `(..., h, w)` without its last row or column where their number is odd: H.264 needs even sides."""
    return frame[..., : frame.shape[-2] // 2 * 2, : frame.shape[-1] // 2 * 2]
