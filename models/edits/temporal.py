"""Temporal layers as an edit: each layer is applied at its site, at most sites after the backbone's module.

The backbone's module tree, keys and weights never change.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from einops import rearrange
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import NormKind, Places
from ..backbones.unet import Site
from ..layers.strength import is_zero
from ..layers.temporal import TemporalContext, TemporalLayer
from .frame_table import FIRST_AND_PREVIOUS, FrameTable
from .hooks import Edit, LevelSize, around, level_strength, on_pictures, rewrite
from .shared_attention import SharedAttention, SharedInputs

INSIDE = ("before_text", "before_ff", "block")
"""Kinds of sites inside a spatial transformer, whose layers get tokens `(b f) (h w) d`."""
BEFORE = ("before_text", "before_ff")
"""Kinds of sites before a norm: the norm's input is changed in place, because the block uses it for its residual, too."""


def applied_to_input(site: Site) -> bool:
    """Whether a layer changes only the next module's input: at the end of a down level, so that the skip is unchanged."""
    return site.startswith("down.") and site.endswith(".end")


class Temporal(Protocol):
    """Temporal layers by site, such as a `MotionModule`."""

    @property
    def widths(self) -> dict[Site, int]:
        """Sites of the layers, with their widths in channels."""
        ...

    @property
    def clip_norms(self) -> tuple[NormKind, ...]:
        """Kinds of GroupNorms in the backbone that average over the whole clip."""
        ...

    @property
    def sparse_causal(self) -> bool:
        """Whether the backbone's self-attention attends to frame 0 and the previous frame."""
        ...

    def layer(self, site: Site) -> TemporalLayer:
        """The layer at a site."""
        ...


@dataclass(frozen=True)
class TemporalInputs:
    """Inputs of a `TemporalEdit` for one call of the backbone."""

    clip: TemporalContext
    rows: int
    """Number of frames in the batch."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """Prefix of sites -> factor of the strength; for each site the longest prefix is used."""


class TemporalEdit(Edit[TemporalInputs]):
    """Edit that applies the temporal layers of one motion module."""

    reads = ("levels", "amount", "frames", "beyond", "fps")

    def __init__(self) -> None:
        super().__init__()
        self._sites: tuple[Site, ...] = ()
        self._embedding: Tensor | None = None
        self._shared = SharedAttention()
        self._size = LevelSize()

    def wanted(self, network: Temporal) -> Mapping[Site, int]:
        return network.widths

    def hooks(self, network: Temporal, places: Places) -> Iterator[RemovableHandle]:
        self._sites = tuple(network.widths)
        if any(network.layer(site).timed for site in self._sites):
            first = next(module for site, (module, _) in places.sites.items() if site.endswith(".resnet"))
            yield first.register_forward_pre_hook(self._note_embedding)
        inside = [site.rpartition(".") for site in self._sites]
        yield from self._size.hooks(places, [f"{place}.attention" for place, _, kind in inside if kind in INSIDE])
        for site in self._sites:
            yield self._at_site(site, network.layer(site), places.sites[site][0])
        for kind in network.clip_norms:
            for norm in places.norms[kind]:
                yield from self._over_clip(norm)
        if network.sparse_causal:
            yield from self._shared.hooks(None, places)

    def give(self, inputs: TemporalInputs | None) -> TemporalInputs | None:
        if inputs is not None and (is_zero(inputs.clip.strength) or self._acts_nowhere(inputs.levels)):
            inputs = None
        self._embedding = None
        self._shared.give(inputs and _first_and_previous(inputs))
        self._size.now = None
        return super().give(inputs)

    def _acts_nowhere(self, levels: Mapping[str, float]) -> bool:
        return bool(levels and self._sites) and not any(level_strength(site, levels) for site in self._sites)

    def _note_embedding(self, module: nn.Module, args: Any) -> None:
        self._embedding = args[1]

    def _clip_at(self, site: Site, layer: TemporalLayer) -> TemporalContext | None:
        """The context of the layer at a site; None where the layer is not applied."""
        if self.inputs is None:
            return None
        factor = level_strength(site, self.inputs.levels) if self.inputs.levels else 1.0
        if not factor:
            return None
        clip = self.inputs.clip.at(factor)
        if self._size.now and isinstance(clip.strength, Tensor):
            clip = replace(clip, size=self._size.now)
        return replace(clip, embedding=self._embedding) if layer.timed else clip

    def _at_site(self, site: Site, layer: TemporalLayer, module: nn.Module) -> RemovableHandle:
        def after(module: nn.Module, args: Any, output: Any) -> Any:
            clip = self._clip_at(site, layer)
            return None if clip is None else on_pictures(output, lambda x: layer(x, clip))  # None: output unchanged

        def before(module: nn.Module, args: Any) -> None:
            if clip := self._clip_at(site, layer):
                rewrite(args[0], lambda x: layer(x, clip))  # in place: the block's residual uses the same tensor

        def before_next(module: nn.Module, args: Any) -> Any:
            clip = self._clip_at(site, layer)
            return (layer(args[0], clip), *args[1:]) if clip else None

        if site.rpartition(".")[2] in BEFORE:
            return module.register_forward_pre_hook(before)
        return module.register_forward_pre_hook(before_next) if applied_to_input(site) else module.register_forward_hook(after)

    def _over_clip(self, norm: nn.Module) -> Iterator[RemovableHandle]:
        """Makes a GroupNorm of the backbone average over whole clips, by stacking the frames of each vertically."""
        folded: list[int] = []

        def fold(module: nn.Module, args: Any) -> Any:
            folded.clear()
            if self.inputs is None or args[0].shape[0] != self.inputs.rows:  # already stacked by another motion module
                return None
            frames = self.inputs.clip.frames
            folded.append(frames)
            pattern = "(b f) c h w -> b c (f h) w" if args[0].ndim == 4 else "(b f) c n -> b c (f n)"
            return (rearrange(args[0], pattern, f=frames),)

        def unfold(module: nn.Module, args: Any, output: Tensor) -> Any:
            if not folded:
                return None
            pattern = "b c (f h) w -> (b f) c h w" if output.ndim == 4 else "b c (f n) -> (b f) c n"
            return rearrange(output, pattern, f=folded.pop())

        return around(norm, fold, unfold)


def _first_and_previous(inputs: TemporalInputs) -> SharedInputs:
    """Sparse-causal attention, which one family was trained with."""
    clip = inputs.clip
    return SharedInputs(FrameTable(FIRST_AND_PREVIOUS).of(range(clip.frames)), inputs.rows, clip.strength, clip.size)


def frames_per_clip(rows: int, chunks: int, frames: int) -> int:
    """Frames per clip in a batch of `rows` frames with `chunks` equal parts (conditional, unconditional).

    frames   frames per clip as set by the user; 0: each part is one clip
    Raises ValueError for a negative number, unequal parts, or a part that is not a multiple of `frames`.
    """
    if frames < 0:
        raise ValueError(f"frames: expected a count, or 0 for the whole batch, got {frames}")
    part, remainder = divmod(rows, chunks)
    if remainder or not part:
        raise ValueError(f"expected {chunks} equal parts in the batch (one per conditioning), got {rows} rows")
    if part % (frames or part):
        raise ValueError(
            f"expected a batch of whole clips of {frames} frames, got {part} frames. Make the batch (the latent's batch size, "
            f"or the context window) a multiple of {frames}, or set frames to 0: then the whole batch is one clip."
        )
    return frames or part
