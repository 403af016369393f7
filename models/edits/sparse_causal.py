"""Sparse-causal attention: each frame's picture looks at frame 0 and at the frame before it, not at itself.

Tune-A-Video (arXiv 2212.11565, 4.2), LaVie's interpolation model (arXiv 2309.15103, 3.3). Keys and values of a token do not
depend on who looks, so the image UNet's own `to_k` and `to_v` are asked once per frame, and two hooks exchange their answers.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..backbones.places import Places
from ..backbones.unet import Site
from ..layers.strength import over_tokens
from ..layers.temporal import Clip
from .hooks import Edit


class SparseCausal(Edit[Clip]):
    """Makes every self-attention of the backbone a sparse-causal one while there is a clip; strength blends the outcome."""

    def wanted(self, network: None) -> Mapping[Site, int]:
        return {}

    def hooks(self, network: None, places: Places) -> Iterator[RemovableHandle]:
        for attention in places.self_attentions.values():
            yield from self._in(attention)

    def _in(self, attention: nn.Module) -> Iterator[RemovableHandle]:
        resting: list[bool] = []

        def exchange(module: nn.Module, args: Any, output: Tensor) -> Any:
            clip = self.inputs
            return None if clip is None or resting else of_first_and_before(output, clip.frames)

        def blend(module: nn.Module, args: Any, kwargs: Any, output: Tensor) -> Any:
            clip = self.inputs
            if clip is None or resting or (not isinstance(clip.strength, Tensor) and clip.strength == 1):
                return None
            with _set(resting):
                own = module.forward(*args, **kwargs)
            return own + over_tokens(clip.strength, own, clip.frames, clip.size) * (output - own)

        for name in ("to_k", "to_v"):
            yield attention.get_submodule(name).register_forward_hook(exchange)
        yield attention.register_forward_hook(blend, with_kwargs=True)


def of_first_and_before(tokens: Tensor, frames: int) -> Tensor:
    """Tokens `(b f) p d` to those of frame 0 and of the frame before (of frame 0: itself) `(b f) (2 p) d`."""
    tokens = rearrange(tokens, "(b f) p d -> b f p d", f=frames)
    first = tokens[:, :1].expand_as(tokens)
    before = torch.cat([tokens[:, :1], tokens[:, :-1]], dim=1)
    return rearrange([first, before], "two b f p d -> (b f) (two p) d")


@contextmanager
def _set(flag: list[bool]) -> Iterator[None]:
    flag.append(True)
    try:
        yield
    finally:
        flag.pop()
