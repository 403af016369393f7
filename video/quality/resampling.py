"""Changes of a clip's time, to test video VAEs with. Clips are `(f, 3, h, w)`."""

from collections.abc import Callable
from functools import partial

import torch
from einops import rearrange
from torch import Tensor

SEED = 0


def dropped(clip: Tensor, keep: int) -> Tensor:
    """Keeps every `keep`-th frame: faster motion."""
    return clip[::keep]


def repeated(clip: Tensor, times: int) -> Tensor:
    """Repeats each frame `times` times: slower, jerky motion."""
    return clip.repeat_interleave(times, 0)


def blended(clip: Tensor) -> Tensor:
    """Inserts the mean of each two neighbours: half the speed, ghosts in every second frame."""
    between = (clip[:-1] + clip[1:]) / 2
    return torch.cat([rearrange([clip[:-1], between], "two f c h w -> (f two) c h w"), clip[-1:]])


def shuffled(clip: Tensor) -> Tensor:
    """Shuffles the frames with a fixed seed."""
    return clip[torch.randperm(len(clip), generator=torch.Generator().manual_seed(SEED))]


def across(clip: Tensor) -> Tensor:
    """Exchanges time and height: frame y is row y over time. An image VAE gets unusual images."""
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
"""Name -> change of time."""


def resampled(clip: Tensor, name: str, side: int) -> Tensor:
    """Applies a change by name and crops to sides that are multiples of `side`.

    Raises ValueError for an unknown name, and for a clip too short to exchange time and height.
    """
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
