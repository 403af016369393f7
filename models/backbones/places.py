"""Modules of a running network at the places that edits may use."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from torch import nn

from .unet import Site

NormKind = Literal["resnet", "transformer", "out"]
"""GroupNorms of an image UNet: those of residual blocks, of spatial transformers, and the last one."""

RESIDUAL_AND_LAST: tuple[NormKind, ...] = ("resnet", "out")

Named = dict[Site, tuple[nn.Module, int]]
"""Sites of a UNet: its own module there, and the width in channels."""


@dataclass(frozen=True)
class Places:
    """Modules of one UNet that edits may hook."""

    sites: Mapping[Site, tuple[nn.Module, int]]
    """The UNet's own module at each site and its width in channels, in the order in which they run."""
    norms: Mapping[NormKind, tuple[nn.Module, ...]]
    """Its GroupNorms."""
    self_attentions: Mapping[str, nn.Module] = field(default_factory=dict)
    """Its self-attentions over the picture by name (`down.1.0.attention.0`), each with `to_q`, `to_k`, `to_v` and `to_out`."""
    cross_attentions: Mapping[str, nn.Module] = field(default_factory=dict)
    """Its attentions to the text by name."""
    layers: Mapping[str, nn.Module] = field(default_factory=dict)
    """Its linear and 2D convolution layers by their own names in this backbone."""

    @property
    def widths(self) -> dict[Site, int]:
        return {site: width for site, (_, width) in self.sites.items()}


def transformer_sites(place: str, transformer: Any, width: int) -> Named:
    """Sites of a spatial transformer; those inside its block only where it has exactly one."""
    sites: Named = {}
    if len(transformer.transformer_blocks) == 1:
        (block,) = transformer.transformer_blocks
        inside = {"before_text": block.norm2, "before_ff": block.norm3, "block": block}
        sites = {f"{place}.{kind}": (module, width) for kind, module in inside.items()}
    return sites | {f"{place}.attention": (transformer, width)}


def norms_of(sites: Named, resnet: Sequence[str], out: nn.Module) -> dict[NormKind, tuple[nn.Module, ...]]:
    """A UNet's GroupNorms by kind. `resnet`: the host's names of both norms of a ResBlock; `out`: the UNet's last norm."""
    resnets = [module for site, (module, _) in sites.items() if site.endswith(".resnet")]
    transformers = [module for site, (module, _) in sites.items() if site.endswith(".attention")]
    return {
        "resnet": tuple(module.get_submodule(name) for module in resnets for name in resnet),
        "transformer": tuple(module.get_submodule("norm") for module in transformers),
        "out": (out,),
    }


def places_of(sites: Named, norms: Mapping[NormKind, tuple[nn.Module, ...]], unet: nn.Module | None = None) -> Places:
    """Places of a UNet whose spatial transformers have blocks with `attn1` and `attn2`, as LDM's and diffusers' do.

    unet   None: a part of one, whose other layers are not listed
    """
    return Places(sites, norms, _attentions(sites, "attn1"), _attentions(sites, "attn2"), layers_of(unet) if unet else {})


def layers_of(unet: nn.Module) -> dict[str, nn.Module]:
    """A network's linear and 2D convolution layers by name."""
    return {name: layer for name, layer in unet.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)}


def _attentions(sites: Named, name: str) -> dict[str, nn.Module]:
    """Attentions by the site of their transformer and the number of their block: `down.1.0.attention.0`, `mid.attention.3`."""
    found: dict[str, nn.Module] = {}
    for site, (transformer, _) in sites.items():
        if not site.endswith(".attention"):
            continue
        for index, block in enumerate(cast(Any, transformer).transformer_blocks):
            if (attention := getattr(block, name, None)) is not None:
                found[f"{site}.{index}"] = attention
    return found
