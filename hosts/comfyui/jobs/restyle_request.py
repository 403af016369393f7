"""Settings and inputs of Restyle Video."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor

from ....sampling.inversion import check_refine
from ....video.frames.colour import MATCHES, STEADY
from ..vae.chunked import ChunkedVae

INVERSION, NOISE, SAME_NOISE = "inversion", "noise by frame", "same noise for all frames"
STARTS = (INVERSION, SAME_NOISE, NOISE)
COLOURS = ("off", STEADY, *MATCHES)
"""Methods of matching the source's colours."""
AS_CONNECTED, SOURCE, CANNY = "as connected", "source", "canny"
HINTS = (AS_CONNECTED, SOURCE, CANNY)
"""Pictures of the ControlNet."""


@dataclass(frozen=True)
class RestyleRequest:
    """Settings of a restyling."""

    start: str = INVERSION
    """One of `STARTS`."""
    denoise: float = 1.0
    """Share of the noise levels that are used."""
    steps: int = 25
    cfg: float = 7.0
    seed: int = 0
    refine: int = 1
    """Fixed-point iterations per step of the inversion."""
    window: int = 16
    overlap: int = 4
    cut: float = 0.3
    """Colour difference of two frames above which there is a scene cut between them; 0: no cuts."""
    colours: str = "off"
    """One of `COLOURS`."""
    grey: bool = False
    """Whether the source's colours are removed before encoding, so that the prompt alone sets them."""

    def __post_init__(self) -> None:
        for name, value, options in (("start", self.start, STARTS), ("match_colour", self.colours, COLOURS)):
            if value not in options:
                raise ValueError(f"{name}: expected {', '.join(options)}, got {value!r}")
        if not 0 < self.denoise <= 1:
            raise ValueError(f"denoise: expected more than 0, up to 1, got {self.denoise:g}; 0 would be the source itself")
        check_refine(self.refine)

    def levels(self, sigmas_for: Callable[[int], Tensor]) -> Tensor:
        """Noise levels `(steps + 1,)`, as `last_levels`."""
        return last_levels(self.steps, self.denoise, sigmas_for)


def last_levels(steps: int, denoise: float, sigmas_for: Callable[[int], Tensor]) -> Tensor:
    """Noise levels `(steps + 1,)`: the last ones of a schedule that is longer where `denoise` is below 1, as core's."""
    if steps < 1:
        raise ValueError(f"steps: expected 1 or more, got {steps}")
    return sigmas_for(max(steps, int(steps / denoise)))[-(steps + 1) :]


@dataclass(frozen=True)
class RestyleInputs:
    """Model, conditioning, VAE and hints of a restyling."""

    model: Any
    positive: Any
    negative: Any
    source_prompt: Any
    """Conditioning that describes the source, for the inversion; None without one."""
    chunked_vae: ChunkedVae
    hint_of: Callable[[Tensor], Tensor] | None = None
    """Makes the ControlNet's picture of a frame `(3, h, w)`; None: the ControlNet keeps its own pictures."""
    hints: Iterable[Tensor] | None = None
    """Frames `(3, h, w)` for `hint_of`; None: those of the source."""


def hint_maker(hint: str, low: float, high: float) -> Callable[[Tensor], Tensor]:
    """A function that makes the ControlNet's picture of a frame. hint: one of `HINTS`; low, high: thresholds of `CANNY`."""
    return partial(canny, low=low, high=high) if hint == CANNY else lambda picture: picture


def canny(picture: Tensor, low: float, high: float) -> Tensor:
    """Edges of a picture `(3, h, w)` in [0, 1], as core's Canny node computes them."""
    from comfy_extras.nodes_canny import Canny

    edges = Canny.execute(picture.movedim(0, -1)[None], low, high).result[0]
    return edges[0].movedim(-1, 0).float().cpu()
