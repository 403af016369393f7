"""A motion module: the temporal layers of one file, keyed by site. It knows no UNet and no host."""

from collections.abc import Mapping

from torch import nn

from .sites import Site, fitting, misfits
from .temporal import TemporalLayer


class MotionModule(nn.Module):
    """Layers in a tree whose paths are their sites: the layer at `down.1.0.out` is `motion.down.1.0.out`.

    So a state-dict key is a site followed by the layer's own key, and nothing needs to translate between the two.
    """

    def __init__(self, layers: Mapping[Site, TemporalLayer], max_frames: int | None):
        """max_frames: the longest clip the positions can tell apart, None where nothing ends."""
        super().__init__()
        self.widths: dict[Site, int] = {site: layer.channels for site, layer in layers.items()}
        self.max_frames = max_frames
        for site, layer in layers.items():
            *path, name = site.split(".")
            place: nn.Module = self
            for step in path:
                if step not in place._modules:
                    place.add_module(step, nn.Module())
                place = place.get_submodule(step)
            place.add_module(name, layer)

    def layer(self, site: Site) -> nn.Module:
        """The layer at a site of this module."""
        return self.get_submodule(site)

    def check_frames(self, frames: int) -> None:
        """Refuses a clip longer than the positions can tell apart."""
        if self.max_frames is not None and frames > self.max_frames:
            raise ValueError(
                f"this motion module can tell {self.max_frames} frames apart, got a clip of {frames}. "
                f"Lower the latent's batch size (or the frames per clip) to {self.max_frames} or fewer, "
                "or sample in context windows."
            )

    def check_fit(self, found: Mapping[Site, int]) -> None:
        """Refuses a UNet whose sites (site -> width) are not those of the file."""
        if lines := misfits(self.widths, found):
            rest = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
            bases = " or ".join(fitting(self.widths)) or "a UNet of its own layout, none of Stable Diffusion's at full size"
            raise ValueError(
                f"the motion module does not fit this model: {'; '.join(lines[:3])}{rest}. "
                f"The file was made for {bases}; load a checkpoint of that kind, or a motion module for this one."
            )
