"""Hooks that run one motion module inside one UNet, for every host alike.

A temporal layer follows the UNet's own module at its site by a torch hook: the UNet's tree, its keys and its weights never
change, and taking the handles away leaves nothing behind. Hooks act only while a clip is running, so a hook that is still
installed does nothing to a call that is not ours.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from einops import rearrange
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..layers.strength import is_zero
from ..layers.temporal import Clip, TemporalLayer
from ..motion.module import MotionModule
from .hooks import Hooked
from .sparse_causal import sparse_causal

BEFORE = ("before_text", "before_ff")
"""Kinds of sites whose module is the norm that reads the place; the host adds what we change to both ways on from there."""


def enters(site: Site) -> bool:
    """Whether the layer changes what the next module is given: at the end of a down level, whose skip keeps what it is."""
    return site.startswith("down.") and site.endswith(".end")


class Injection(Hooked):
    """One motion module in one UNet: install, start and stop clips, remove."""

    def __init__(self) -> None:
        super().__init__()
        self._clip: Clip | None = None
        self._rows = 0
        self._levels: Mapping[str, float] = {}
        self._sites: tuple[Site, ...] = ()
        self._embedding: Tensor | None = None

    def install(self, motion: MotionModule, places: Places) -> None:
        """Hooks every layer of `motion` behind the UNet's module at its site. Leftovers are removed first."""
        self.remove()
        self._sites = tuple(motion.widths)
        if any(motion.layer(site).timed for site in self._sites):
            first = next(module for site, (module, _) in places.sites.items() if site.endswith(".resnet"))
            self._handles.append(first.register_forward_pre_hook(self._note_embedding))
        for site in motion.widths:
            module, layer = places.sites[site][0], motion.layer(site)
            if site.rpartition(".")[2] in BEFORE:
                self._handles.append(module.register_forward_pre_hook(self._before(site, layer)))
            elif enters(site):
                self._handles.append(module.register_forward_pre_hook(self._entering(site, layer)))
            else:
                self._handles.append(module.register_forward_hook(self._after(site, layer)))
        for kind in motion.clip_norms:
            for norm in places.norms[kind]:
                self._handles += self._over_clip(norm)
        if motion.sparse_causal:
            self._handles += [hook for attention in places.attentions for hook in sparse_causal(attention, self._of_clip)]

    def start(self, clip: Clip | None, rows: int = 0, levels: Mapping[str, float] | None = None) -> tuple[Any, ...]:
        """From now on hooks act on this clip, or let everything pass where it is None or has strength 0.

        rows     frames in the whole batch
        levels   beginnings of sites -> factor of the strength there; the longest that fits counts
        Returns what they acted on before, to be handed to `start` again.
        """
        before = (self._clip, self._rows, self._levels)
        self._rows, self._levels = rows, levels or {}
        nowhere = self._levels and self._sites and not any(level_strength(site, self._levels) for site in self._sites)
        self._clip = None if clip is None or nowhere or is_zero(clip.strength) else clip
        self._embedding = None
        return before

    def _of_clip(self) -> Clip | None:
        return self._clip

    def _note_embedding(self, module: nn.Module, args: Any) -> None:
        self._embedding = args[1]

    def _at(self, site: Site, layer: TemporalLayer) -> Clip | None:
        factor = level_strength(site, self._levels) if self._levels else 1.0
        if not self._clip or not factor:
            return None
        clip = self._clip.at(factor)
        return replace(clip, embedding=self._embedding) if layer.timed else clip

    def _after(self, site: Site, layer: TemporalLayer) -> Any:
        def follow(module: nn.Module, args: Any, output: Any) -> Any:
            clip = self._at(site, layer)
            if clip is None:
                return None  # the UNet's own output, untouched
            if isinstance(output, tuple):  # diffusers' transformers return one
                return (layer(output[0], clip), *output[1:])
            return layer(output, clip)

        return follow

    def _before(self, site: Site, layer: TemporalLayer) -> Any:
        def precede(module: nn.Module, args: Any) -> None:
            if clip := self._at(site, layer):
                # in place: the block keeps a second hold on x, for its own residual
                args[0].copy_(layer(args[0], clip))

        return precede

    def _entering(self, site: Site, layer: TemporalLayer) -> Any:
        def enter(module: nn.Module, args: Any) -> Any:
            clip = self._at(site, layer)
            return (layer(args[0], clip), *args[1:]) if clip else None

        return enter

    def _over_clip(self, norm: nn.Module) -> tuple[RemovableHandle, RemovableHandle]:
        """Makes a GroupNorm of the image UNet average over each whole clip: it is shown the frames below each other."""
        shown: list[int] = []

        def fold(module: nn.Module, args: Any) -> Any:
            shown.clear()
            if self._clip is None or args[0].shape[0] != self._rows:  # another module's hook has done it already
                return None
            shown.append(self._clip.frames)
            pattern = "(b f) c h w -> b c (f h) w" if args[0].ndim == 4 else "(b f) c n -> b c (f n)"
            return (rearrange(args[0], pattern, f=self._clip.frames),)

        def unfold(module: nn.Module, args: Any, output: Tensor) -> Any:
            if not shown:
                return None
            pattern = "b c (f h) w -> (b f) c h w" if output.ndim == 4 else "b c (f n) -> (b f) c n"
            return rearrange(output, pattern, f=shown.pop())

        return norm.register_forward_pre_hook(fold), norm.register_forward_hook(unfold)


def level_strength(site: Site, levels: Mapping[str, float]) -> float:
    """The factor of the longest beginning of `site` among `levels`; 1 where there is none."""
    fitting = [name for name in levels if site == name or site.startswith(f"{name}.")]
    return levels[max(fitting, key=len)] if fitting else 1.0


def frames_per_clip(rows: int, chunks: int, frames: int) -> int:
    """Frames of each clip in a batch of `rows`, made of `chunks` equal parts (conditional, unconditional).

    frames   frames per clip as the user chose; 0 means that each part is one clip
    """
    if frames < 0:
        raise ValueError(f"frames: expected a count, or 0 for the whole batch, got {frames}")
    part, left = divmod(rows, chunks)
    if left or not part:
        raise ValueError(f"expected {chunks} equal parts in the batch (one per conditioning), got {rows} rows")
    if part % (frames or part):
        raise ValueError(
            f"expected a batch of whole clips of {frames} frames, got {part} frames. Make the batch (the latent's batch size, "
            f"or the context window) a multiple of {frames}, or set frames to 0: then the whole batch is one clip."
        )
    return frames or part
