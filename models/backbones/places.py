"""Modules of a network at the places that edits may hook."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from torch import nn

from .unet import Site

NormKind = Literal["resnet", "transformer", "out"]
"""GroupNorms of an image UNet: those of residual blocks, of spatial transformers, and the last one."""

RESIDUAL_AND_LAST: tuple[NormKind, ...] = ("resnet", "out")

Named = dict[Site, tuple[nn.Module, int]]
"""Site -> (the UNet's module there, its width in channels)."""


@dataclass(frozen=True)
class Places:
    """Modules of one UNet that edits may hook."""

    sites: Mapping[Site, tuple[nn.Module, int]]
    """The UNet's module at each site and its width in channels, in the order in which they run."""
    norms: Mapping[NormKind, tuple[nn.Module, ...]]
    """GroupNorms of the UNet by kind."""
    self_attentions: Mapping[str, nn.Module] = field(default_factory=dict)
    """Spatial self-attentions by name (`down.1.0.attention.0`), each with `to_q`, `to_k`, `to_v` and `to_out`."""
    cross_attentions: Mapping[str, nn.Module] = field(default_factory=dict)
    """Cross-attentions to the text by name."""
    layers: Mapping[str, nn.Module] = field(default_factory=dict)
    """Linear and 2D convolution layers by their names in this backbone."""

    @property
    def widths(self) -> dict[Site, int]:
        """Width in channels of each site."""
        return {site: width for site, (_, width) in self.sites.items()}


def transformer_sites(place: str, transformer: Any, width: int) -> Named:
    """Sites of a spatial transformer; those inside its block only where it has exactly one block."""
    sites: Named = {}
    if len(transformer.transformer_blocks) == 1:
        (block,) = transformer.transformer_blocks
        inside = {"before_text": block.norm2, "before_ff": block.norm3, "block": block}
        sites = {f"{place}.{kind}": (module, width) for kind, module in inside.items()}
    return sites | {f"{place}.attention": (transformer, width)}


def norms_of(sites: Named, resnet: Sequence[str], out: nn.Module) -> dict[NormKind, tuple[nn.Module, ...]]:
    """GroupNorms of a UNet by kind. `resnet`: the host's names of both norms of a ResBlock; `out`: the UNet's last norm."""
    resnets = [module for site, (module, _) in sites.items() if site.endswith(".resnet")]
    transformers = [module for site, (module, _) in sites.items() if site.endswith(".attention")]
    return {
        "resnet": tuple(module.get_submodule(name) for module in resnets for name in resnet),
        "transformer": tuple(module.get_submodule("norm") for module in transformers),
        "out": (out,),
    }


def places_of(sites: Named, norms: Mapping[NormKind, tuple[nn.Module, ...]], unet: nn.Module | None = None) -> Places:
    """Places of a UNet whose transformer blocks name their attentions `attn1` and `attn2`, as in LDM and diffusers.

    unet   None: a part of one, whose other layers are not listed
    """
    return Places(sites, norms, _attentions(sites, "attn1"), _attentions(sites, "attn2"), layers_of(unet) if unet else {})


def layers_of(unet: nn.Module) -> dict[str, nn.Module]:
    """Linear and 2D convolution layers of a network by name."""
    return {name: layer for name, layer in unet.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}


def _attentions(sites: Named, name: str) -> dict[str, nn.Module]:
    """Attentions by the site of their transformer and the index of their block: `down.1.0.attention.0`, `mid.attention.3`."""
    found: dict[str, nn.Module] = {}
    for site, (transformer, _) in sites.items():
        if not site.endswith(".attention"):
            continue
        for index, block in enumerate(cast(Any, transformer).transformer_blocks):
            if (attention := getattr(block, name, None)) is not None:
                found[f"{site}.{index}"] = attention
    return found
