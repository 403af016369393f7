"""One published autoencoder as data: how to recognise its files, rename its keys, build it, and window clips."""

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
    """Builds an empty network for these shapes (with our keys). It has `side` (a latent is side x side pixels), `latent`
    (channels of a latent), and `encode` and `decode` of tensors `(f, c, h, w)`, or `(b, c, t, h, w)` if it compresses time."""
    windows: WindowSpec
    """Size and overlap of the windows in which clips are encoded and decoded."""
    time: Callable[[nn.Module], TimeRatio]
    """Network -> its ratio of frames to latents."""
    note: str
    """Information for users: compatible latents, purpose."""
