"""What one published design of temporal layers is, as data: how to know its files, spell its keys, build its layers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from ..backbones.places import NormKind
from ..backbones.unet import BASES, Site
from ..formats.published import Contents, Published
from ..layers.temporal import TemporalLayer
from .frame_guide import GuideDesign


@dataclass(frozen=True)
class NoiseSchedule:
    """The betas a family was trained with: linear in beta, or linear in its root (diffusers' `scaled_linear`).

    The worlds swap the names: AnimateDiff's "linear" is ComfyUI's `sqrt_linear`, Stable Diffusion's `scaled_linear` is
    ComfyUI's `linear`. Here the curve is named by what is linear.
    """

    curve: str
    """`beta` or `root`."""
    start: float
    end: float
    steps: int
    zero_terminal: bool = False
    """Shifted so that the last step is pure noise (arXiv 2305.08891); needs v-prediction."""


@dataclass(frozen=True)
class InputScale:
    """VideoCrafter's `scale_arr`: clean latents enter as scale(t) * x0, from 1 at t = 0 evenly down to `end`, then flat."""

    end: float
    until: int
    """Number of timesteps of the way down."""


@dataclass(frozen=True)
class Variant:
    """One member of a family, read off a file's shapes."""

    name: str
    frames: int
    """Frames of the clips it was trained on."""
    max_frames: int | None
    """The longest clip its positions can tell apart; None where nothing ends."""
    schedule: NoiseSchedule | None
    """None: the schedule of the image model."""
    clip_norms: tuple[NormKind, ...]
    """Which of the image UNet's norms average over the whole clip when this module is at work; the others over one frame."""
    notes: tuple[str, ...]
    bases: tuple[str, ...]
    """Names of the base models it was made for; none: whichever has its sites in its widths."""
    prediction: Literal["eps", "v"] | None = None
    """What the published sampler takes the output for; None: whatever the image model predicts."""
    scale: InputScale | None = None
    whole: str = ""
    """What of the host's own runs such a file whole, where something does."""
    fps: float | None = None
    """Frames per second (or the frame stride) that the file is told where the user chooses none; None where it is told none."""
    guide: GuideDesign | None = None
    """How it is shown given frames; None where it is not."""
    sparse_causal: bool = False
    """Whether the image UNet's self-attentions look at frame 0 and the frame before when this module is at work."""
    rescale: float = 0.0
    """Share of guidance rescale (arXiv 2305.08891) in the published sampler."""

    def __post_init__(self) -> None:
        if unknown := set(self.bases) - {base.name for base in BASES}:
            raise ValueError(f"bases: expected names of models/backbones/unet.py's BASES, got {', '.join(sorted(unknown))}")


@dataclass(frozen=True)
class Family(Published):
    """One design of temporal layers. A family is a file in `families/`, never a branch elsewhere."""

    variant: Callable[[Contents], Variant]
    """Reads the member off what the file holds."""
    build: Callable[[Contents, Any], dict[Site, TemporalLayer]]
    """Makes empty layers for these shapes out of the leaf layers in `ops`."""
