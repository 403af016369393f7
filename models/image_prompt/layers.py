"""Keys and values of image tokens, one pair per cross-attention of a UNet, and the hooks that add what they see.

Decoupled cross-attention (IP-Adapter, arXiv 2308.06721, 3.2.2; VideoCrafter1's dual one, 2310.19512): one query, attention to
the text plus s times attention to the image tokens, summed before the output projection. The hooks stand at the attention's
`to_q` (which query) and `to_out` (the sum), so whatever else replaces the attention in between stays at work.

A place is a site of the UNet's spatial transformer and the number of its block: `down.1.0.attention.0`, `mid.attention.3`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Base
from ..edits.hooks import Hooked
from ..edits.temporal import level_strength
from ..layers.attention import AttentionFunction, attend
from ..layers.tree import plant

Place = str


class ImageKeys(nn.Module):
    """Keys and values of one cross-attention; DynamiCrafter 256 weighs them by tanh(alpha) + 1, learned."""

    def __init__(self, context: int, inner: int, learned: bool, ops: Any):
        super().__init__()
        self.context, self.inner = context, inner
        self.to_k = ops.Linear(context, inner, bias=False)
        self.to_v = ops.Linear(context, inner, bias=False)
        self.weight = LearnedWeight() if learned else None


class LearnedWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, like: Tensor) -> Tensor:
        return (self.alpha.float().tanh() + 1).to(like.device, like.dtype)


class ImageLayers(nn.Module):
    """Modules in a tree whose paths are their places, as a MotionModule's are sites."""

    def __init__(self, layers: Mapping[Place, ImageKeys]):
        super().__init__()
        self.places = tuple(layers)
        plant(self, layers)

    def at(self, place: Place) -> ImageKeys:
        return cast(ImageKeys, self.get_submodule(place))

    def check_fit(self, places: Places) -> None:
        """Refuses a UNet whose cross-attentions are not those that the file was made for."""
        found = cross_attentions(places)
        lines = [f"{place}: the UNet has no such attention" for place in self.places if place not in found]
        for place in (place for place in self.places if place in found):
            inner, context = widths(found[place])
            wanted = (self.at(place).inner, self.at(place).context)
            if wanted != (inner, context):
                lines.append(f"{place}: {wanted[0]} x {wanted[1]} in the file, {inner} x {context} in the UNet")
        if lines:
            rest = f"; and {len(lines) - 3} more" if len(lines) > 3 else ""
            raise ValueError(
                f"the image projector does not fit this model: {'; '.join(lines[:3])}{rest}. Its keys and values are for "
                f"text {self.at(self.places[0]).context} wide (SD1.x: 768, SD2.x: 1024, SDXL: 2048); load a checkpoint of that "
                "kind, or a projector for this one."
            )


def widths(attention: Any) -> tuple[int, int]:
    """Inner width and width of the text of a UNet's cross-attention."""
    return attention.to_k.out_features, attention.to_k.in_features


def cross_attentions(places: Places) -> dict[Place, Any]:
    """Every cross-attention of a UNet by place."""
    return {
        f"{site}.{index}": block.attn2
        for site, (transformer, _) in places.sites.items()
        if site.endswith(".attention")
        for index, block in enumerate(cast(Any, transformer).transformer_blocks)
        if block.attn2 is not None
    }


def places_of(base: Base) -> list[Place]:
    """Cross-attentions in the order in which IP-Adapter numbers them: down, up, middle."""
    levels = list(enumerate(base.attention))
    down = [f"down.{level}.{n}.attention.{i}" for level, depth in levels for n in range(base.blocks) for i in range(depth)]
    upwards = list(enumerate(reversed(base.attention)))
    up = [f"up.{level}.{n}.attention.{i}" for level, depth in upwards for n in range(base.blocks + 1) for i in range(depth)]
    return [*down, *up, *(f"mid.attention.{i}" for i in range(base.attention[-1] or 1))]


@dataclass(frozen=True)
class Shown:
    """What image attention is told at each call of the UNet."""

    tokens: Tensor
    """Distinct sets of tokens `(u, n, d)`."""
    rows: Tensor
    """Which set each row of the batch reads `(b f)`, int64."""
    strength: float | Tensor
    """A number, or one per row `(b f)`."""
    attention: AttentionFunction
    levels: Mapping[str, float] = field(default_factory=dict)
    """Beginnings of places -> factor of the strength there."""


class ImageInjection(Hooked):
    """Image layers in one UNet: install, show, remove. Does nothing to calls for which nothing is shown."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: Shown | None = None

    def install(self, layers: ImageLayers, places: Places) -> None:
        """Leftovers are removed first."""
        self.remove()
        attentions = cross_attentions(places)
        for place in layers.places:
            self._handles += self._beside(place, layers.at(place), attentions[place])

    def show(self, shown: Shown | None) -> Shown | None:
        """From now on; returns what was shown before."""
        before, self._shown = self._shown, shown
        return before

    def _beside(self, place: Place, keys: ImageKeys, attention: Any) -> tuple[RemovableHandle, RemovableHandle]:
        asked: list[Tensor] = []

        def query(module: nn.Module, args: Any, output: Tensor) -> None:
            asked.clear()
            if self._shown is not None:
                asked.append(output)

        def add(module: nn.Module, args: Any) -> Any:
            if self._shown is None or not asked:
                return None
            return (args[0] + seen(self._shown, place, keys, asked.pop(), attention.heads), *args[1:])

        return attention.to_q.register_forward_hook(query), attention.to_out[0].register_forward_pre_hook(add)


def seen(shown: Shown, place: Place, keys: ImageKeys, q: Tensor, heads: int) -> Tensor:
    """What a query `(b f) p d` sees in the picture, times the strength."""
    factor = level_strength(place, shown.levels)
    tokens, rows = shown.tokens.to(q.device, q.dtype), shown.rows.to(q.device)
    k, v = keys.to_k(tokens)[rows], keys.to_v(tokens)[rows]  # (b f) n d
    out = attend(shown.attention, q, k, v, heads)
    if isinstance(shown.strength, Tensor):
        out = shown.strength.to(out.device, out.dtype).reshape(-1, 1, 1) * out
    else:
        factor = factor * shown.strength
    if keys.weight is not None:
        out = keys.weight(out) * out
    return factor * out
