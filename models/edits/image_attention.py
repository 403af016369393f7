"""Image prompts as an edit: attention to image tokens beside each attention to the text.

Decoupled cross-attention (IP-Adapter, arXiv 2308.06721, 3.2.2; VideoCrafter1's dual one, 2310.19512): one query, attention to
the text plus s times attention to the image tokens, summed before the output projection. The hooks stand at the attention's
`to_q` (which query) and `to_out` (the sum), so whatever else replaces the attention in between stays at work.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..layers.attention import AttentionFunction, attend
from .hooks import Edit, level_strength


class Keys(Protocol):
    """Keys and values of image tokens for one attention."""

    to_k: Any
    to_v: Any
    weight: Any
    """Learned factor, a function of a tensor like the one it multiplies; None where there is none."""


class ImageKeysByPlace(Protocol):
    """Keys and values by the name of their attention; `models/image_prompt/layers.py` has them."""

    places: tuple[str, ...]

    def at(self, place: str) -> Keys: ...


@dataclass(frozen=True)
class ImageInputs:
    """Inputs of one call."""

    tokens: Tensor
    """Distinct sets of tokens `(u, n, d)`."""
    rows: Tensor
    """Which set each row of the batch reads `(b f)`, int64."""
    strength: float | Tensor
    """A number, or one per row `(b f)`."""
    attention: AttentionFunction
    levels: Mapping[str, float] = field(default_factory=dict)
    """Beginnings of places -> factor of the strength there."""


class ImageAttention(Edit[ImageInputs]):
    """Image layers beside a UNet's attentions to the text."""

    reads = ("tokens", "null", "by_frame", "levels")

    def wanted(self, network: ImageKeysByPlace) -> Mapping[Site, int]:
        return {}

    def hooks(self, network: ImageKeysByPlace, places: Places) -> Iterator[RemovableHandle]:
        for place in network.places:
            yield from self._beside(place, network.at(place), places.cross_attentions[place])

    def _beside(self, place: str, keys: Keys, attention: Any) -> Iterator[RemovableHandle]:
        asked: list[Tensor] = []

        def query(module: nn.Module, args: Any, output: Tensor) -> None:
            asked.clear()
            if self.inputs is not None:
                asked.append(output)

        def add(module: nn.Module, args: Any) -> Any:
            if self.inputs is None or not asked:
                return None
            return (args[0] + seen(self.inputs, place, keys, asked.pop(), attention.heads), *args[1:])

        yield attention.to_q.register_forward_hook(query)
        yield attention.to_out[0].register_forward_pre_hook(add)


def seen(shown: ImageInputs, place: str, keys: Keys, q: Tensor, heads: int) -> Tensor:
    """What a query `(b f) p d` sees in the picture, times the strength."""
    factor = level_strength(place, shown.levels) if shown.levels else 1.0
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
