"""One published design of temporal layers as data: how to recognise its files, rename its keys, build its layers."""

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
    """Betas that a family was trained with: linear in beta, or linear in its square root (diffusers' `scaled_linear`).

    Names differ between projects: AnimateDiff's "linear" is ComfyUI's `sqrt_linear`, Stable Diffusion's `scaled_linear` is
    ComfyUI's `linear`. Here the curve is named after the quantity that is linear.
    """

    curve: str
    """`beta` or `root`."""
    start: float
    end: float
    """First and last beta."""
    steps: int
    zero_terminal: bool = False
    """Whether betas are shifted so that the last step is pure noise (arXiv 2305.08891); requires v-prediction."""


@dataclass(frozen=True)
class InputScale:
    """VideoCrafter's `scale_arr`: clean latents are scaled to scale(t) * x0, linear from 1 at t = 0 to `end`, then constant."""

    end: float
    until: int
    """Number of timesteps of the linear part."""


@dataclass(frozen=True)
class Variant:
    """One member of a family, derived from the shapes in a file."""

    name: str
    frames: int
    """Length of the training clips in frames."""
    max_frames: int | None
    """Longest clip that its positions cover, in frames; None without a limit."""
    schedule: NoiseSchedule | None
    """None: the schedule of the image model."""
    clip_norms: tuple[NormKind, ...]
    """Kinds of the image UNet's norms that average over the whole clip with this module; the others average over one frame."""
    notes: tuple[str, ...]
    bases: tuple[str, ...]
    """Names of the base models it was made for; empty: any base model that has its sites in its widths."""
    prediction: Literal["eps", "v"] | None = None
    """Prediction type of the published sampler; None: that of the image model."""
    scale: InputScale | None = None
    """Scale of clean latents; None: they are not scaled."""
    whole: str = ""
    """Name of the host's own loader for the whole file; empty where it has none."""
    fps: float | None = None
    """Default frames per second (or frame stride) of families conditioned on it; None for other families."""
    guide: GuideDesign | None = None
    """Input for given frames; None where the member has none."""
    sparse_causal: bool = False
    """Whether the image UNet's self-attentions attend to frame 0 and the frame before with this module."""
    rescale: float = 0.0
    """Factor of guidance rescale (arXiv 2305.08891) in the published sampler."""

    def __post_init__(self) -> None:
        if unknown := set(self.bases) - {base.name for base in BASES}:
            raise ValueError(f"bases: expected names of models/backbones/unet.py's BASES, got {', '.join(sorted(unknown))}")


@dataclass(frozen=True)
class Family(Published):
    """One design of temporal layers. A family is a file in `families/`, never a branch elsewhere."""

    variant: Callable[[Contents], Variant]
    """Finds the member from the contents of a file."""
    build: Callable[[Contents, Any], dict[Site, TemporalLayer]]
    """(contents, `ops`) -> empty layers for the shapes in a file, made of the leaf layers in `ops`."""
