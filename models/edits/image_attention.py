"""Image prompts as an edit: attention to image tokens beside each cross-attention to the text.

Decoupled cross-attention (IP-Adapter, arXiv 2308.06721, 3.2.2; VideoCrafter1's dual one, 2310.19512): one query, attention to
the text plus s times attention to the image tokens, summed before the output projection. The hooks are on the attention's
`to_q` (for the query) and `to_out` (for the sum), so other nodes' replacements of the attention in between keep working.
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
    """Key and value projections of image tokens for one attention."""

    to_k: Any
    to_v: Any
    weight: Any
    """Learned factor: a function of the tensor that it multiplies; None where there is none."""


class ImageKeysByPlace(Protocol):
    """Key and value projections by the name of their attention, such as `ImageLayers` in `models/image_prompt/layers.py`."""

    places: tuple[str, ...]

    def at(self, place: str) -> Keys: ...


@dataclass(frozen=True)
class ImageInputs:
    """Inputs of one call."""

    tokens: Tensor
    """Distinct sets of tokens `(u, n, d)`."""
    rows: Tensor
    """Index of the token set for each row of the batch `(b f)`, int64."""
    strength: float | Tensor
    """A number, or one per row `(b f)`."""
    attention: AttentionFunction
    levels: Mapping[str, float] = field(default_factory=dict)
    """Prefixes of places -> factor of the strength there."""


class ImageAttention(Edit[ImageInputs]):
    """Decoupled cross-attention to image tokens in a UNet."""

    reads = ("tokens", "null", "by_frame", "levels")

    def wanted(self, network: ImageKeysByPlace) -> Mapping[Site, int]:
        return {}

    def hooks(self, network: ImageKeysByPlace, places: Places) -> Iterator[RemovableHandle]:
        for place in network.places:
            yield from self._beside(place, network.at(place), places.cross_attentions[place])

    def _beside(self, place: str, keys: Keys, attention: Any) -> Iterator[RemovableHandle]:
        queries: list[Tensor] = []

        def keep_query(module: nn.Module, args: Any, output: Tensor) -> None:
            queries.clear()
            if self.inputs is not None:
                queries.append(output)

        def add(module: nn.Module, args: Any) -> Any:
            if self.inputs is None or not queries:
                return None
            return (args[0] + seen(self.inputs, place, keys, queries.pop(), attention.heads), *args[1:])

        yield attention.to_q.register_forward_hook(keep_query)
        yield attention.to_out[0].register_forward_pre_hook(add)


def seen(inputs: ImageInputs, place: str, keys: Keys, q: Tensor, heads: int) -> Tensor:
    """Attention of the query `(b f) p d` to the image tokens, times the strength; same shape."""
    factor = level_strength(place, inputs.levels) if inputs.levels else 1.0
    tokens, rows = inputs.tokens.to(q.device, q.dtype), inputs.rows.to(q.device)
    k, v = keys.to_k(tokens)[rows], keys.to_v(tokens)[rows]  # (b f) n d
    out = attend(inputs.attention, q, k, v, heads)
    if isinstance(inputs.strength, Tensor):
        out = inputs.strength.to(out.device, out.dtype).reshape(-1, 1, 1) * out
    else:
        factor = factor * inputs.strength
    if keys.weight is not None:
        out = keys.weight(out) * out
    return factor * out
