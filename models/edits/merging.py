"""Token merging across frames: similar tokens of a clip's frames are one token while a self-attention runs.

VidToMe (arXiv 2312.10656). Frames of a window merge into a few of them (local); what is left merges with the tokens of the
window before (global). Every merged token gets the output of the token that replaced it, so similar places stay alike.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from .hooks import Edit
from .shared_attention import Part

SCORES = 2**22
"""Similarities computed at once: 16 MB. All of 16 frames at 64x64 tokens would be 3.2 GB."""
SMALLEST = 1e-6
"""Norm below which a token is similar to none; at a norm of 0 the similarity would be no number."""


@dataclass(frozen=True)
class Matching:
    """Which of n tokens are kept, and which kept token each of them is replaced by."""

    kept: Tensor
    """Positions `(b, m)`."""
    replaced_by: Tensor
    """Positions among the kept tokens `(b, n)`."""

    @classmethod
    def of(cls, kept: Tensor, target: Tensor) -> "Matching":
        """target: the position `(b, n)` of the token that replaces each token."""
        place = torch.zeros_like(target).scatter_(1, kept, _positions(kept))
        return cls(kept, place.gather(1, target))

    def merge(self, tokens: Tensor) -> Tensor:
        """Tokens `b n d` to the kept ones `b m d`."""
        return take(tokens, self.kept)

    def unmerge(self, tokens: Tensor) -> Tensor:
        """Kept tokens `b m d` to all `b n d`."""
        return take(tokens, self.replaced_by)


def take(tokens: Tensor, positions: Tensor) -> Tensor:
    """Tokens `b n d` at positions `(b, m)`: `b m d`."""
    start = torch.arange(len(tokens), device=tokens.device)[:, None] * tokens.shape[1]
    rows = rearrange(tokens, "b n d -> (b n) d").index_select(0, (positions + start).flatten())
    return rearrange(rows, "(b m) d -> b m d", b=len(tokens))


def match_frames(
    tokens: Tensor, frames: int, ratio: float, draws: Sequence[float], group: int = 4, aligned: bool = False
) -> Matching:
    """The local matching of tokens `b (f n) d`, in passes until one frame is left.

    ratio     share of the tokens of a pass that merge; 0: none, and all are kept as they are
    draws     numbers in [0, 1), one per pass: which frame of each group the others merge into
    group     frames per destination frame
    aligned   one matching for all items of the batch
    """
    everything = _positions(tokens[..., 0])
    remaining = rearrange(everything, "b (f n) -> b f n", f=frames)
    if ratio == 0 or frames == 1:
        return Matching(everything, everything)
    target, left, last = everything, everything[:, :0], 0
    for draw in draws:
        count = remaining.shape[1]
        if count == 1:
            break
        stride = min(group, count)
        chosen = range(int(draw * stride), count, stride)
        others = [frame for frame in range(count) if frame not in chosen]
        remaining, rest = (rearrange(remaining[:, which], "b f n -> b (f n)") for which in (list(chosen), others))
        unmerged, merged, into = _match(tokens, rest, torch.cat([remaining, left], dim=1), ratio, aligned)
        target = everything.scatter(1, merged, into).gather(1, target)
        remaining, left = rearrange(remaining, "b (f n) -> b f n", f=len(chosen)), torch.cat([unmerged, left], dim=1)
        last = unmerged.shape[1]
    assert remaining.shape[1] == 1, "fewer draws than passes"
    kept = torch.cat([left[:, :last], remaining.flatten(1), left[:, last:]], dim=1)
    return Matching.of(kept, target)


def match_sets(tokens: Tensor, sources: int, ratio: float, aligned: bool = False) -> Matching:
    """The matching of the first `sources` tokens of `b n d` with the others: a share of them merges into those."""
    everything = _positions(tokens[..., 0])
    rest, destinations = everything[:, :sources], everything[:, sources:]
    unmerged, merged, into = _match(tokens, rest, destinations, ratio, aligned)
    return Matching.of(torch.cat([unmerged, destinations], dim=1), everything.scatter(1, merged, into))


def _match(tokens: Tensor, sources: Tensor, destinations: Tensor, ratio: float, aligned: bool) -> tuple[Tensor, Tensor, Tensor]:
    """(sources that stay, most similar first; sources that merge; the destination of each of these), positions `(b, ...)`."""
    score, best = _most_similar(tokens, sources, destinations, aligned)
    order = score.argsort(dim=1, descending=True, stable=True)
    sources, best = sources.gather(1, order), best.gather(1, order)
    count = int(sources.shape[1] * ratio)
    return sources[:, count:], sources[:, :count], destinations.gather(1, best[:, :count])


def _most_similar(tokens: Tensor, sources: Tensor, destinations: Tensor, aligned: bool) -> tuple[Tensor, Tensor]:
    """The highest cosine similarity of each source, and the index of that destination `(b, s)`.

    Items are computed one by one, so that halves of the guidance match alike whether they come in one call or in two.
    """
    block = max(1, SCORES // destinations.shape[1])
    scores, indices = [], []
    for item, rows, columns in zip(tokens, sources, destinations, strict=True):
        against = _unit(item[columns]).T
        found = [(_unit(item[part]) @ against).max(dim=1) for part in rows.split(block)]
        scores.append(torch.cat([one.values for one in found]))
        indices.append(torch.cat([one.indices for one in found]))
    score, index = torch.stack(scores), torch.stack(indices)
    if aligned:
        score, which = score.max(dim=0, keepdim=True)
        score, index = score.expand_as(index), index.gather(0, which).expand_as(index)
    return score, index


def _unit(tokens: Tensor) -> Tensor:
    return nn.functional.normalize(tokens.float(), dim=-1, eps=SMALLEST)


def _positions(like: Tensor) -> Tensor:
    """0, 1, 2, ... `(b, n)` for anything of that shape."""
    return torch.arange(like.shape[1], device=like.device).expand(like.shape[0], -1)


@dataclass(frozen=True)
class OtherWindows:
    """Tokens of other windows in the same step of the sampling."""

    before: Mapping[Hashable, Tensor]
    """Tokens `k d` of the window before by (name of the attention, name of the part)."""
    now: dict[Hashable, Tensor]
    """Those of this window; the first call for a window stores them."""
    parts: tuple[Part, ...]
    """One per clip of the batch."""
    ratio: float
    """Share of tokens that merge."""
    into_before: bool
    """Whether this window's tokens merge into those of the window before, or these into this window's."""

    def at(self, place: str) -> Tensor | None:
        """Tokens of the window before `b k d`; None where a part has none, or parts have different numbers of them."""
        named = (((place, name) for name in part if (place, name) in self.before) for part in self.parts)
        found = [self.before.get(next(names, None)) for names in named]
        tokens = [one for one in found if one is not None]
        return torch.stack(tokens) if len(tokens) == len(found) and len({len(one) for one in tokens}) == 1 else None

    def store(self, place: str, tokens: Tensor) -> None:
        for part, clip in zip(self.parts, tokens, strict=True):
            for name in part:
                self.now.setdefault((place, name), clip)


@dataclass(frozen=True)
class MergeInputs:
    """Inputs of one call."""

    frames: int
    """Frames per clip."""
    rows: int
    """Frames in the whole batch."""
    size: tuple[int, int]
    """Height and width of the latent."""
    draws: Sequence[float]
    """Numbers in [0, 1), one per pass."""
    ratio: float = 0.9
    group: int = 4
    levels: int = 2
    """Levels of the UNet, from the finest, whose self-attentions merge tokens."""
    aligned: bool = False
    """One matching for all clips of the batch, as VidToMe's configuration has it."""
    others: OtherWindows | None = None

    def merges(self, tokens: int) -> bool:
        """Whether an attention with so many tokens per frame merges them: by its token ratio, as VidToMe's max_downsample."""
        ratio = math.ceil(math.sqrt(self.size[0] * self.size[1] // tokens))
        return self.levels > 0 and ratio <= 2 ** (self.levels - 1)


class TokenMerging(Edit[MergeInputs]):
    """Merges tokens behind a block's first norm, and gives each its output behind the self-attention's output projection.

    In between, functions of other nodes get one row per clip in place of one per frame.
    """

    reads = ("local_merge_ratio", "global_merge_ratio", "levels", "group", "seed")

    def __init__(self) -> None:
        super().__init__()
        self.acted: set[str] = set()
        """Names of the attentions that have merged tokens; a host clears it before a run."""

    def wanted(self, network: None) -> Mapping[Site, int]:
        return {}

    def hooks(self, network: None, places: Places) -> Iterator[RemovableHandle]:
        for name, block in blocks_of(places).items():
            yield from self._in(name, block)

    def _in(self, place: str, block: Any) -> Iterator[RemovableHandle]:
        running: list[Matching] = []

        def merge(module: nn.Module, args: Any, output: Tensor) -> Any:
            running.clear()
            if self.inputs is None or not self.inputs.merges(output.shape[1]):
                return None
            merged, matching = merged_tokens(self.inputs, place, output)
            if matching is None:
                return None
            self.acted.add(place)
            running.append(matching)
            return merged

        def unmerge(module: nn.Module, args: Any, output: Tensor) -> Any:
            if not running or self.inputs is None:
                return None
            matching = running.pop()
            if output.shape[:2] != matching.kept.shape:
                raise ValueError(
                    f"Merge Across Frames: expected {matching.kept.shape[1]} merged tokens from the self-attention {place}, "
                    f"got {tuple(output.shape[:2])}. Another node cuts or merges them as well (HyperTile, Token Merging); "
                    "take one of the two away from this MODEL."
                )
            return rearrange(matching.unmerge(output), "b (f n) d -> (b f) n d", f=self.inputs.frames)

        yield block.norm1.register_forward_hook(merge)
        yield block.attn1.to_out[0].register_forward_hook(unmerge)


def merged_tokens(inputs: MergeInputs, place: str, tokens: Tensor) -> tuple[Tensor, Matching | None]:
    """Tokens `(b f) n d` of an attention to merged ones `b m d`, and how they come back; None where nothing merges."""
    if len(tokens) != inputs.rows:
        raise ValueError(
            f"Merge Across Frames: expected tokens of {inputs.rows} frames at {place}, got {len(tokens)} rows. Another node "
            "has changed the batch of the UNet; take it away from this MODEL."
        )
    tokens = rearrange(tokens, "(b f) n d -> b (f n) d", f=inputs.frames)
    local = match_frames(tokens, inputs.frames, inputs.ratio, inputs.draws, inputs.group, inputs.aligned)
    merged = local.merge(tokens)
    others = inputs.others
    before = others.at(place) if others else None
    if others is None or before is None:
        if others:
            others.store(place, merged)
        return merged, local if inputs.frames > 1 else None
    own, matching, count = merged, local.replaced_by, merged.shape[1]
    both = [own, before] if others.into_before else [before, own]
    joined = match_sets(torch.cat(both, dim=1), both[0].shape[1], others.ratio, inputs.aligned)
    merged = joined.merge(torch.cat(both, dim=1))
    here = joined.replaced_by[:, :count] if others.into_before else joined.replaced_by[:, -count:]
    others.store(place, take(merged, here))
    return merged, Matching(joined.kept, here.gather(1, matching))


def blocks_of(places: Places) -> dict[str, Any]:
    """Transformer blocks by the name of their self-attention; those without one (x4 upscaler) left out."""
    found = {}
    for name in places.self_attentions:
        site, _, index = name.rpartition(".")
        transformer: Any = places.sites[site][0]
        block = transformer.transformer_blocks[int(index)]
        if not (getattr(block, "disable_self_attn", False) or getattr(block, "only_cross_attention", False)):
            found[name] = block
    return found


def level_of(place: str, levels: int) -> int:
    """The level of a place in a UNet with so many, 1 for the finest."""
    way, _, rest = place.partition(".")
    number = rest.partition(".")[0]
    return levels if way == "mid" else int(number) + 1 if way == "down" else levels - int(number)
