"""One published autoencoder as data: how to recognise its files, rename its keys, build it, and cut clips for it."""

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
    """Builds an empty network for these shapes (keys in our spelling). It has `side` (pixels per latent and side), `latent`
    (its channels), `encode` and `decode`, between tensors `(f, c, h, w)`, or `(b, c, t, h, w)` where it compresses time."""
    windows: WindowSpec
    """Windows in which clips are encoded and decoded."""
    time: Callable[[nn.Module], TimeRatio]
    """Frames per latent of a network of this family."""
    note: str
    """Information for artists: compatible latents, purpose."""
