"""Features of given frames, added to the hidden states at sites of a UNet."""

from collections.abc import Iterator, Mapping
from typing import Any, Protocol, cast

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..errors import DoesNotFit
from ..layers.strength import resized
from .hooks import Edit, on_pictures


class GuideNetwork(Protocol):
    """Network of a motion file that encodes given frames."""

    @property
    def widths(self) -> dict[Site, int]:
        """Sites at which features are added, with their widths."""
        ...

    def features(self, channels: Tensor, frames: int) -> dict[Site, Tensor]:
        """Features by site, from the further channels `(b f) c h w` with `frames` frames per clip."""
        ...


class FeatureEdit(Edit[Mapping[Site, Tensor]]):
    """Adds features at sites, before any temporal layer there, in whatever order they were installed. Inputs: features by site,
    times strength."""

    reads = ("first", "last", "grey", "affinity", "given")

    def wanted(self, network: GuideNetwork) -> Mapping[Site, int]:
        return network.widths

    def hooks(self, network: GuideNetwork, places: Places) -> Iterator[RemovableHandle]:
        for site in network.widths:
            yield places.sites[site][0].register_forward_hook(self._after(site), prepend=True)

    def _after(self, site: Site) -> Any:
        def follow(module: nn.Module, args: Any, output: Any) -> Any:
            feature = self.inputs.get(site) if self.inputs else None
            return None if feature is None else on_pictures(output, lambda x: x + resized(feature, *x.shape[-2:]))

        return follow


def check_guide_fit(network: nn.Module, found: Mapping[Site, int]) -> None:
    """Raises DoesNotFit for a UNet whose widths differ from the network's. found: site -> width of the UNet."""
    for site, width in cast(GuideNetwork, network).widths.items():
        if found.get(site) != width:
            raise DoesNotFit(
                f"the motion file's picture input does not fit this model: {width} channels at {site} in the file, "
                f"{found.get(site, 'none')} in the UNet. Use the model that the motion file was applied to."
            )


def as_added(features: Mapping[Site, Tensor], strength: float | Tensor) -> dict[Site, Tensor]:
    """Features times a strength, which is a number or one per row `(b f) 1 1 1`."""
    unchanged = not isinstance(strength, Tensor) and strength == 1
    return {site: feature if unchanged else strength * feature for site, feature in features.items()}
