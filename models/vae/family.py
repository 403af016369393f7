"""What one published autoencoder is, as data: how to know its files, spell its keys, build it, and how to cut clips for it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ...sampling.windowing import TimeRatio, WindowSpec
from ..formats.published import Published, Shapes


def still(network: nn.Module) -> TimeRatio:
    """One latent per frame."""
    return TimeRatio()


@dataclass(frozen=True)
class VaeFamily(Published):
    """One design of autoencoder. A family is a file in `families/`, never a branch elsewhere."""

    build: Callable[[Shapes], nn.Module]
    """Makes an empty network for these shapes, spelled our way. It has `side` (pixels per latent and side), `latent` (its
    channels), `encode` and `decode`, which take and give `(f, c, h, w)`, or `(b, c, t, h, w)` where it squeezes time."""
    windows: WindowSpec
    """How clips are best cut for it."""
    time: Callable[[nn.Module], TimeRatio]
    """What one of its networks does to time."""
    note: str
    """What an artist should know: which latents it takes, what it was made for."""
