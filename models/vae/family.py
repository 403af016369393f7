"""What one published autoencoder is, as data: how to know its files, spell its keys, build it, and how to cut clips for it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from ..formats.published import Published, Shapes


@dataclass(frozen=True)
class Time:
    """How many frames n latents stand for: `first + each * (n - 1)`."""

    each: int = 1
    """Frames per latent after the first: 4 where time is squeezed so."""
    first: int = 1
    """Frames of the first latent: 1 in causal networks, where it is a picture of its own; else as many as the others."""
    block: int = 0
    """Latents after which a new clip begins, which knows nothing of the one before; 0: never."""


@dataclass(frozen=True)
class Windows:
    """How long clips are best cut for an autoencoder, in latents."""

    size: int
    """Latents that it sees at once."""
    overlap: int
    """Latents that two neighbouring windows share."""
    fade: bool = True
    """Whether what both made of them is cross-faded."""


def still(network: nn.Module) -> Time:
    """One latent per frame."""
    return Time()


@dataclass(frozen=True)
class VaeFamily(Published):
    """One design of autoencoder. A family is a file in `families/`, never a branch elsewhere."""

    build: Callable[[Shapes], nn.Module]
    """Makes an empty network for these shapes, spelled our way. It has `side` (pixels per latent and side), `latent` (its
    channels), `encode` and `decode`, which take and give `(f, c, h, w)`, or `(b, c, t, h, w)` where it squeezes time."""
    windows: Windows
    time: Callable[[nn.Module], Time]
    """What one of its networks does to time."""
    note: str
    """What an artist should know: which latents it takes, what it was made for."""
