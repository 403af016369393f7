"""Attention across frames: each frame attends to the keys and values of the frames that a table lists.

Keys and values of a token do not depend on who attends, so the image UNet's own `to_k` and `to_v` are called once per frame,
and two hooks exchange their outputs. They act whatever function computes the attention.
"""

import functools
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..layers.strength import Strength, over_rows, over_tokens
from .hooks import Edit, LevelSize, level_strength

Part = tuple[Hashable, ...]
"""Names of one part of a batch (a conditioning), the most exact one first."""


@dataclass(frozen=True)
class FirstFrame:
    """Keys and values of frame 0, which the windows of one step share."""

    stored: dict[Hashable, Tensor]
    parts: tuple[Part, ...]
    """One per clip of the batch."""
    position: int | None
    """Of frame 0 in this window; None where another window has it."""

    def exchange(self, tokens: Tensor, place: str) -> Tensor:
        """Tokens `b f ...`: stored where frame 0 is among them, else with the stored ones behind `b (f one) ...`."""
        if self.position is not None:
            for part, clip in zip(self.parts, tokens, strict=True):
                self.stored.update({(place, name): clip[self.position] for name in part})
            return tokens
        return torch.cat([tokens, torch.stack([self._of(part, place) for part in self.parts])[:, None]], dim=1)

    def _of(self, part: Part, place: str) -> Tensor:
        for name in part:
            if (place, name) in self.stored:
                return self.stored[place, name]
        raise ValueError(
            "attention to the first frame: this window has not got frame 0 of the clip, and no window before it in this step "
            "had. Use Sliding Windows of this pack, or another choice of frames."
        )


@dataclass(frozen=True)
class SharedInputs:
    """Inputs of one call."""

    table: Tensor
    """Positions `(f, k)` of frames, int64; -1 is frame 0 of another window."""
    rows: int
    """Frames in the whole batch."""
    strength: Strength = 1.0
    size: tuple[int, int] = (0, 0)
    """Height and width of the latent."""
    levels: Mapping[str, float] = field(default_factory=dict)
    """Beginnings of places -> factor of the strength there; the longest that fits counts."""
    first: FirstFrame | None = None
    replaced: bool = False
    """Whether it acts where another function stands in an attention's place, at strength 1: there is nothing to blend with."""

    @property
    def frames(self) -> int:
        return len(self.table)

    def factor(self, place: str) -> float:
        """Of the strength, at one attention."""
        return level_strength(place, self.levels) if self.levels else 1.0

    def is_whole(self, place: str) -> bool:
        return not isinstance(self.strength, Tensor) and self.factor(place) * self.strength == 1


class SharedAttention(Edit[SharedInputs]):
    """Keys and values of other frames in every self-attention of the backbone; the strength blends the outcome.

    Where a node puts a function of its own in an attention's place, the inputs decide whether that one is given the tokens of
    other frames (a plain attention) or the frame's own (PAG and SAG expect as many keys as queries).
    """

    def __init__(self) -> None:
        super().__init__()
        self.level_size = LevelSize()
        self.acted: set[str] = set()
        """Names of the attentions that have had other frames' keys and values; a host clears them when a run begins."""

    def wanted(self, network: None) -> Mapping[Site, int]:
        return {}

    def hooks(self, network: None, places: Places) -> Iterator[RemovableHandle]:
        yield from self.level_size.hooks(places, [name.rpartition(".")[0] for name in places.self_attentions])
        for name, attention in places.self_attentions.items():
            yield from _AttentionHooks(self, name).register(attention)

    def give(self, inputs: SharedInputs | None) -> SharedInputs | None:
        self.level_size.now = None
        return super().give(inputs)


class _AttentionHooks:
    """Hooks of one self-attention, and the state of its running call."""

    def __init__(self, edit: SharedAttention, place: str):
        self._edit, self._place = edit, place
        self._running: SharedInputs | None = None
        self._inside = False
        self._queries = 0

    def register(self, attention: nn.Module) -> Iterator[RemovableHandle]:
        yield attention.register_forward_pre_hook(self._enter, with_kwargs=True)
        yield attention.get_submodule("to_q").register_forward_hook(self._query)
        for name in ("to_k", "to_v"):
            yield attention.get_submodule(name).register_forward_hook(functools.partial(self._exchange, name))
        yield attention.get_submodule("to_out").register_forward_pre_hook(self._projected)
        yield attention.register_forward_hook(self._leave, with_kwargs=True)

    def _enter(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        inputs = self._edit.inputs
        self._running, self._inside = inputs if inputs and inputs.factor(self._place) else None, True

    def _query(self, module: nn.Module, args: Any, output: Tensor) -> None:
        self._queries = len(output)
        if not self._inside:  # the host calls the projections for another function
            inputs = self._edit.inputs
            self._running = inputs if inputs and inputs.replaced and inputs.is_whole(self._place) else None

    def _exchange(self, name: str, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        inputs = self._running
        if inputs is None:
            return None
        self._edit.acted.add(self._place)
        strips = max(1, self._queries // len(output))
        return of_frames(output, inputs.table, inputs.rows, strips, inputs.first, f"{self._place}.{name}")

    def _projected(self, module: nn.Module, args: Any) -> None:
        if not self._inside:
            self._running = None

    def _leave(self, module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Any:
        inputs, self._running = self._running, None
        if inputs is None or inputs.is_whole(self._place):
            self._inside = False
            return None
        own = module.forward(*args, **kwargs)
        self._inside = False
        size = self._edit.level_size.now or inputs.size
        return own + inputs.factor(self._place) * _strength_of(inputs, own, size) * (output - own)


def _strength_of(inputs: SharedInputs, tokens: Tensor, size: tuple[int, int]) -> Strength:
    """The strength for tokens `(b f t) p d` of a level of this height and width."""
    strength = inputs.strength
    if not isinstance(strength, Tensor):
        return strength
    if strength.shape[1:] == (1, 1):
        tiles = len(tokens) // inputs.rows
        return over_rows(strength, tokens[::tiles], inputs.frames).repeat_interleave(tiles, 0)[..., None]
    if len(tokens) != inputs.rows or tokens.shape[1] != size[0] * size[1]:
        raise ValueError(
            f"strength mask: expected the tokens of a {size[0]}x{size[1]} picture per frame, got {tokens.shape[1]} tokens "
            f"in {len(tokens)} rows for {inputs.rows} frames. Another node cuts or merges them (HyperTile, Token Merging); "
            "remove it from this MODEL, or use a strength without a mask."
        )
    return over_tokens(strength, tokens, inputs.frames, size)


def of_frames(
    tokens: Tensor, table: Tensor, rows: int, strips: int = 1, first: FirstFrame | None = None, place: str = ""
) -> Tensor:
    """Tokens `(b f t) (s p) d` to those of the frames of a table `(f, k)`: `(b f t) (s k p) d`.

    rows     b * f; where other nodes cut pictures into tiles, each frame has t rows of them, one after another
    strips   s: rows of queries for each row of tokens. Core's HyperTile cuts the queries alone, and the attention then reads
             the tokens of a row as so many strips, one for each tile.
    first    where frame 0 comes from if the table has `OUTSIDE`; place names the tokens there
    Raises ValueError for tokens that are no whole number of rows per frame.
    """
    if len(tokens) % rows or tokens.shape[1] % strips:
        raise ValueError(
            f"expected tokens of {rows} frames, or of as many tiles for each of them, got {len(tokens)} rows. Another node has "
            "changed the batch of the self-attention; remove it from this MODEL."
        )
    tokens = rearrange(tokens, "(b f t) (s p) d -> b f t s p d", f=len(table), t=len(tokens) // rows, s=strips)
    tokens = first.exchange(tokens, place) if first else tokens
    found = tokens[:, table.to(tokens.device)]  # OUTSIDE, -1, is the last one
    return rearrange(found, "b f k t s p d -> (b f t) (s k p) d")
