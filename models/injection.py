"""Hooks that run one motion module inside one UNet, for every host alike.

A temporal layer follows the UNet's own module at its site by a torch forward hook: the UNet's tree, its keys and its
weights never change, and taking the handles away leaves nothing behind. Hooks act only while a clip is running, so a hook
that is still installed does nothing to a call that is not ours.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from .motion import MotionModule
from .sites import Site
from .temporal import Clip


class Injection:
    """One motion module in one UNet: install, start and stop clips, remove."""

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self._clip: Clip | None = None

    @property
    def installed(self) -> bool:
        return bool(self._handles)

    def install(self, motion: MotionModule, places: Mapping[Site, nn.Module]) -> None:
        """Hooks every layer of `motion` behind the UNet's module at its site. Leftovers are removed first."""
        self.remove()
        for site in motion.widths:
            self._handles.append(places[site].register_forward_hook(self._hook(motion.layer(site))))

    def remove(self) -> None:
        """Takes every hook away; harmless when there is none."""
        while self._handles:
            self._handles.pop().remove()

    def start(self, clip: Clip | None) -> Clip | None:
        """From now on hooks act on this clip, or let everything pass where it is None. Returns what they acted on before."""
        before, self._clip = self._clip, clip
        return before

    def _hook(self, layer: nn.Module) -> Any:
        def follow(module: nn.Module, args: Any, output: Any) -> Any:
            if self._clip is None or self._clip.strength == 0:
                return None  # the UNet's own output, untouched
            if isinstance(output, tuple):  # diffusers' transformers return one
                return (layer(output[0], self._clip), *output[1:])
            return layer(output, self._clip)

        return follow


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
