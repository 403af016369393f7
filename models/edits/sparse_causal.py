"""Sparse-causal attention: each frame attends to frame 0 and to the frame before it, not to itself.

Tune-A-Video (arXiv 2212.11565, 4.2), LaVie's interpolation model (arXiv 2309.15103, 3.3). Keys and values do not depend on the
query, so the image UNet's `to_k` and `to_v` run once per frame, and two hooks rearrange their outputs.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..layers.strength import Strength, over_rows, over_tokens
from ..layers.temporal import TemporalContext
from .hooks import Edit, LevelSize


@dataclass(frozen=True)
class SparseCausalInputs:
    """Inputs of one call."""

    clip: TemporalContext
    rows: int
    """Number of frames in the batch."""


class SparseCausal(Edit[SparseCausalInputs]):
    """Makes every self-attention of the backbone sparse-causal during a clip; strength blends the result with the ordinary one.

    Where another node replaces an attention by a function (PAG, SAG), that function gets the frame's own tokens.
    """

    def __init__(self) -> None:
        super().__init__()
        self._size = LevelSize()

    def wanted(self, network: None) -> Mapping[Site, int]:
        return {}

    def hooks(self, network: None, places: Places) -> Iterator[RemovableHandle]:
        yield from self._size.hooks(places, [name.rpartition(".")[0] for name in places.self_attentions])
        for attention in places.self_attentions.values():
            yield from self._in(attention)

    def give(self, inputs: SparseCausalInputs | None) -> SparseCausalInputs | None:
        self._size.now = None
        return super().give(inputs)

    def _in(self, attention: nn.Module) -> Iterator[RemovableHandle]:
        running: list[SparseCausalInputs] = []
        queries: list[int] = []

        def enter(module: nn.Module, args: Any, kwargs: Any) -> None:
            running[:] = [self.inputs] if self.inputs else []
            queries[:] = [len(args[0] if args else kwargs["hidden_states"])]

        def exchange(module: nn.Module, args: Any, output: Tensor) -> Any:
            if not running:
                return None
            strips = max(1, queries[0] // len(output))
            return of_first_and_before(output, running[0].clip.frames, running[0].rows, strips)

        def leave(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Any:
            if not running:
                return None
            batch = running.pop()  # so that the forward pass below is the backbone's ordinary attention
            clip = batch.clip
            if not isinstance(clip.strength, Tensor) and clip.strength == 1:
                return None
            ordinary = module.forward(*args, **kwargs)
            return ordinary + self._strength(batch, ordinary) * (output - ordinary)

        yield attention.register_forward_pre_hook(enter, with_kwargs=True)
        for name in ("to_k", "to_v"):
            yield attention.get_submodule(name).register_forward_hook(exchange)
        yield attention.register_forward_hook(leave, with_kwargs=True)

    def _strength(self, batch: SparseCausalInputs, tokens: Tensor) -> Strength:
        """Strength in a shape that multiplies tokens `(b f t) p d`."""
        strength, size = batch.clip.strength, self._size.now or batch.clip.size
        if not isinstance(strength, Tensor):
            return strength
        if strength.shape[1:] == (1, 1):
            tiles = len(tokens) // batch.rows
            return over_rows(strength, tokens[::tiles], batch.clip.frames).repeat_interleave(tiles, 0)[..., None]
        if len(tokens) != batch.rows or tokens.shape[1] != size[0] * size[1]:
            raise ValueError(
                f"strength mask: expected the tokens of a {size[0]}x{size[1]} picture per frame, got {tokens.shape[1]} tokens "
                f"in {len(tokens)} rows for {batch.rows} frames. Another node cuts or merges them (HyperTile, Token Merging); "
                "remove it from this MODEL, or use a strength without a mask."
            )
        return over_tokens(strength, tokens, batch.clip.frames, size)


def of_first_and_before(tokens: Tensor, frames: int, rows: int, strips: int = 1) -> Tensor:
    """Replaces the tokens of each frame by those of frame 0 and of the frame before it (of frame 0 itself for frame 0):
    `(b f t) (s p) d` to `(b f t) (s two p) d`.

    rows     b * f; where other nodes cut frames into tiles, each frame has t consecutive rows
    strips   s, rows of queries per row of tokens: core's HyperTile cuts only the queries, and the attention then treats the
             tokens of a row as s strips, one for each tile
    Raises ValueError where the number of rows is not a multiple of the number of frames.
    """
    if len(tokens) % rows or tokens.shape[1] % strips:
        raise ValueError(
            f"expected tokens of {rows} frames, or of the same number of tiles for each, got {len(tokens)} rows. Another node "
            "has changed the batch of the self-attention; remove it from this MODEL."
        )
    tokens = rearrange(tokens, "(b f t) (s p) d -> b f t s p d", f=frames, t=len(tokens) // rows, s=strips)
    first = tokens[:, :1].expand_as(tokens)
    before = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
    return rearrange([first, before], "two b f t s p d -> (b f t) (s two p) d")
