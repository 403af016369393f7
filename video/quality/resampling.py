"""A clip with its time changed, and otherwise itself: what a video VAE may or may not mind. Clips are `(f, 3, h, w)`."""

from collections.abc import Callable
from functools import partial

import torch
from einops import rearrange
from torch import Tensor

SEED = 0


def dropped(clip: Tensor, keep: int) -> Tensor:
    """Every `keep`-th frame: motion that much faster."""
    return clip[::keep]


def repeated(clip: Tensor, times: int) -> Tensor:
    """Each frame so many times: motion that much slower, in jerks."""
    return clip.repeat_interleave(times, 0)


def blended(clip: Tensor) -> Tensor:
    """The mean of two neighbours between each of them: half the speed, ghosts in every second frame."""
    between = (clip[:-1] + clip[1:]) / 2
    return torch.cat([rearrange([clip[:-1], between], "two f c h w -> (f two) c h w"), clip[-1:]])


def shuffled(clip: Tensor) -> Tensor:
    """The same frames in an order without motion."""
    return clip[torch.randperm(len(clip), generator=torch.Generator().manual_seed(SEED))]


def across(clip: Tensor) -> Tensor:
    """Time and height exchanged: frame y shows what row y saw pass by. A VAE that knows pictures only finds other pictures."""
    return rearrange(clip, "f c h w -> h c f w")


RESAMPLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    "as it is": lambda clip: clip,
    "every 2nd frame": partial(dropped, keep=2),
    "every 4th frame": partial(dropped, keep=4),
    "each frame twice": partial(repeated, times=2),
    "each frame 4 times": partial(repeated, times=4),
    "blended in between": blended,
    "reversed": lambda clip: clip.flip(0),
    "shuffled": shuffled,
    "time for height": across,
}
"""By the names that artists choose from."""


def resampled(clip: Tensor, name: str, side: int) -> Tensor:
    """The clip with this change, cut to sides that are multiples of `side`. Raises ValueError for an unknown name."""
    if name not in RESAMPLINGS:
        raise ValueError(f"changes: expected some of {', '.join(RESAMPLINGS)}, got {name!r}")
    changed = RESAMPLINGS[name](clip)
    h, w = (length - length % side for length in changed.shape[-2:])
    if not h or not w:
        raise ValueError(
            f"changes: {name!r} needs {side} frames or more, as time becomes a side of the picture, got {len(clip)}; "
            "give a longer clip, or leave it out"
        )
    return changed[..., :h, :w]
