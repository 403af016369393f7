"""Motion modules: the temporal layers of one file by site, independent of UNet and host."""

from collections.abc import Mapping
from typing import cast

from torch import nn

from ..backbones.places import NormKind
from ..backbones.unet import Site, check_site, fitting, misfits, sees
from ..errors import DoesNotFit
from ..layers.positions import Beyond
from ..layers.temporal import TemporalLayer
from ..layers.tree import plant


class MotionModule(nn.Module):
    """Temporal layers in a tree whose paths are their sites: the layer at `down.1.0.out` is `motion.down.1.0.out`.

    So a state-dict key is a site followed by the layer's own key.
    """

    def __init__(
        self,
        layers: Mapping[Site, TemporalLayer],
        max_frames: int | None,
        clip_norms: tuple[NormKind, ...] = (),
        fps: float | None = None,
        sparse_causal: bool = False,
    ):
        """
        max_frames      longest clip that the positions cover, in frames; None without a limit
        clip_norms      kinds of the image UNet's norms that average over the whole clip with this module
        fps             default frame rate; None where the family is not conditioned on it
        sparse_causal   whether the image UNet's self-attentions attend to frame 0 and the frame before
        """
        super().__init__()
        self.widths: dict[Site, int] = {site: layer.channels for site, layer in layers.items()}
        self.max_frames = max_frames
        self.clip_norms = clip_norms
        self.fps = fps
        self.sparse_causal = sparse_causal
        for site, layer in layers.items():
            check_site(site)
            if layer.sees != sees(site):
                raise ValueError(f"{site}: expected a layer for {sees(site)}, got {type(layer).__name__} ({layer.sees})")
        plant(self, layers)

    def layer(self, site: Site) -> TemporalLayer:
        """The layer at a site of this module."""
        return cast(TemporalLayer, self.get_submodule(site))

    def check_frames(self, frames: int, beyond: Beyond = "refuse") -> None:
        """Raises ValueError for a clip longer than the positions cover, unless `beyond` extends them."""
        if self.max_frames is not None and frames > self.max_frames and beyond == "refuse":
            raise ValueError(
                f"this motion module has positions for {self.max_frames} frames, got a clip of {frames}. "
                f"Lower the latent's batch size (or the frames per clip) to {self.max_frames} or fewer, "
                "sample in context windows (Sliding Windows, Endless Shot), or set longer_clips in Motion Settings to "
                "stretch positions."
            )

    def check_fit(self, found: Mapping[Site, int]) -> None:
        """Raises DoesNotFit for a UNet that lacks sites of the file or has other widths. found: site -> width of the UNet."""
        if lines := misfits(self.widths, found):
            more = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
            bases = " or ".join(fitting(self.widths)) or "a UNet of another layout than Stable Diffusion's at full size"
            raise DoesNotFit(
                f"the motion module does not fit this model: {'; '.join(lines[:3])}{more}. "
                f"The file was made for {bases}; load a checkpoint of that kind, or a motion module for this one."
            )
