"""Features that a network makes of given frames, added at sites of a UNet."""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from torch import Tensor, nn

from ..backbones.places import Places
from ..backbones.unet import Site
from .hooks import Hooked


class GuideNetwork(Protocol):
    """Weights that a motion file brings for given frames."""

    @property
    def widths(self) -> dict[Site, int]:
        """Sites that it adds to, with their widths."""
        ...

    def features(self, channels: Tensor, frames: int) -> dict[Site, Tensor]:
        """What is added at each site, for `(b f) c h w` with `frames` frames per clip."""
        ...


class GuideInjection(Hooked):
    """One guide network in one UNet: install, show, remove."""

    def __init__(self) -> None:
        super().__init__()
        self._features: Mapping[Site, Tensor] = {}

    def install(self, network: nn.Module, places: Places) -> None:
        """Before any temporal layer at the same sites, whoever comes first. Leftovers are removed."""
        self.remove()
        for site in cast(GuideNetwork, network).widths:
            self._handles.append(places.sites[site][0].register_forward_hook(self._after(site), prepend=True))

    def show(self, features: Mapping[Site, Tensor] | None) -> Mapping[Site, Tensor]:
        """What is added from now on, times its strength already; returns what was before."""
        before, self._features = self._features, features or {}
        return before

    def _after(self, site: Site) -> Any:
        def follow(module: nn.Module, args: Any, output: Any) -> Any:
            feature = self._features.get(site)
            if feature is None:
                return None
            if isinstance(output, tuple):  # diffusers' transformers return one
                return (output[0] + feature, *output[1:])
            return output + feature

        return follow


def check_guide_fit(network: nn.Module, found: Mapping[Site, int]) -> None:
    """Refuses a UNet whose widths are not those of the file."""
    for site, width in cast(GuideNetwork, network).widths.items():
        if found.get(site) != width:
            raise ValueError(
                f"the motion file's picture input does not fit this model: {width} channels at {site} in the file, "
                f"{found.get(site, 'none')} in the UNet. Use the model that the motion file was applied to."
            )


def as_added(features: Mapping[Site, Tensor], strength: float | Tensor) -> dict[Site, Tensor]:
    """Features times a strength, which is a number or one per row `(b f) 1 1 1`."""
    whole = not isinstance(strength, Tensor) and strength == 1
    return {site: feature if whole else strength * feature for site, feature in features.items()}
